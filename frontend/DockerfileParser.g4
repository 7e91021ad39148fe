// One logical line of a Dockerfile. The rule of an instruction says the shape of its arguments, nothing of their meaning:
// which flags exist and how many arguments there may be is checked on the typed instructions.
//
// Every line matches: what is not an array is text, an unknown name is followed by text. The one choice that needs more
// than a token of lookahead is array or text, and it ends at the first token that no array holds.
parser grammar DockerfileParser;

options { tokenVocab = DockerfileLexer; }

line: instruction EOF;

instruction
  : name=(RUN | CMD | ENTRYPOINT | SHELL) flags form?               # command
  | name=(COPY | ADD | VOLUME) flags form?                          # list
  | name=(FROM | EXPOSE) flags WORD*                                # words
  | name=(ENV | LABEL | ARG) flags piece*                           # pairs
  | name=(MAINTAINER | STOPSIGNAL | USER | WORKDIR) flags TEXT?     # text
  | name=ONBUILD flags TEXT?                                        # trigger
  | name=HEALTHCHECK flags (kind=WORD form?)?                       # healthcheck
  | name=UNKNOWN flags TEXT?                                        # unknown
  ;

flags: FLAG* END_FLAGS?;

form
  : OPEN (STRING (COMMA STRING)*)? CLOSE                            # array
  | (TEXT | OPEN | STRING | COMMA | CLOSE | BROKEN | REST)+         # shell
  ;

// A word of ENV, LABEL or ARG, or what an open quote leaves of one.
piece: WORD | BROKEN | REST;

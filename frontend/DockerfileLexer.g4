// Tokens of one logical line of a Dockerfile: continuations joined, comments and heredoc bodies taken out by line_reader.
//
// What a line's rest means depends on its instruction, so the instruction's name chooses the mode. Every mode covers every
// character and a long text is one token: RUN's shell text costs one scan, whatever is in it. The alphabet is bytes, and
// parser.cc shows every byte beyond ASCII as U+007F: any input is legal, token positions are byte offsets, and the
// lexer's tables, which end at 127, hold for all of it.
//
// Quoted words end where their quotes close. Where a quote never closes, the word stops before it and BROKEN and REST
// follow without a blank between; parser.cc joins what touches.
lexer grammar DockerfileLexer;

tokens { FLAG, END_FLAGS, TEXT, WORD, OPEN, BROKEN, REST }

WS: BLANK+ -> skip;
RUN: [rR][uU][nN] -> mode(COMMAND);
CMD: [cC][mM][dD] -> mode(COMMAND);
ENTRYPOINT: [eE][nN][tT][rR][yY][pP][oO][iI][nN][tT] -> mode(COMMAND);
SHELL: [sS][hH][eE][lL][lL] -> mode(COMMAND);
COPY: [cC][oO][pP][yY] -> mode(COMMAND);
ADD: [aA][dD][dD] -> mode(COMMAND);
VOLUME: [vV][oO][lL][uU][mM][eE] -> mode(COMMAND);
FROM: [fF][rR][oO][mM] -> mode(WORDS);
EXPOSE: [eE][xX][pP][oO][sS][eE] -> mode(WORDS);
ENV: [eE][nN][vV] -> mode(PAIRS);
LABEL: [lL][aA][bB][eE][lL] -> mode(PAIRS);
ARG: [aA][rR][gG] -> mode(PAIRS);
MAINTAINER: [mM][aA][iI][nN][tT][aA][iI][nN][eE][rR] -> mode(LINE);
STOPSIGNAL: [sS][tT][oO][pP][sS][iI][gG][nN][aA][lL] -> mode(LINE);
USER: [uU][sS][eE][rR] -> mode(LINE);
WORKDIR: [wW][oO][rR][kK][dD][iI][rR] -> mode(LINE);
ONBUILD: [oO][nN][bB][uU][iI][lL][dD] -> mode(LINE);
HEALTHCHECK: [hH][eE][aA][lL][tT][hH][cC][hH][eE][cC][kK] -> mode(HEALTH);
UNKNOWN: ~[ \t\r\n\u000B\f]+ -> mode(LINE);

fragment ANY: [\u0000-\u007F];
fragment BLANK: [ \t\r\n\u000B\f];
fragment DQ: '"' (ESC | ~["\\])* '"';
fragment DQ_TICK: '"' (ESC_TICK | ~["`])* '"';
fragment SQ: '\'' ~[']* '\'';
fragment ESC: '\\' .;
fragment ESC_TICK: '`' .;
fragment FLAG_WORD: '--' FLAG_PART*;
fragment FLAG_PART: ESC | DQ | SQ_ESC | ~[ \t\r\n\u000B\f"'\\];
// In a flag a backslash escapes inside single quotes too.
fragment SQ_ESC: '\'' (ESC | ~['\\])* '\'';
fragment END_WORD: '--';
// A text that is not a flag: it does not start with two dashes.
fragment NO_FLAG: '-' (~'-' ANY*)? | ~[- \t\r\n\u000B\f] ANY*;

// RUN, CMD, ENTRYPOINT, SHELL, COPY, ADD, VOLUME: a JSON array of strings, or else text.
mode COMMAND;
C_WS: BLANK+ -> skip;
C_END: END_WORD -> type(END_FLAGS), mode(FORM);
C_FLAG: FLAG_WORD -> type(FLAG);
C_OPEN: '[' -> type(OPEN), mode(JSON);
C_TEXT: ('-' (~'-' ANY*)? | ~[-[ \t\r\n\u000B\f] ANY*) -> type(TEXT);

// The same where flags are over.
mode FORM;
F_WS: BLANK+ -> skip;
F_OPEN: '[' -> type(OPEN), mode(JSON);
F_TEXT: ~[[ \t\r\n\u000B\f] ANY* -> type(TEXT);

// As long as it looks like an array of strings; the first other character makes the rest one token.
mode JSON;
J_WS: [ \t\r\n]+ -> skip;
STRING: '"' ('\\' (["\\/bfnrt] | 'u' HEX HEX HEX HEX) | ~["\\\u0000-\u001F])* '"';
fragment HEX: [0-9a-fA-F];
COMMA: ',';
CLOSE: ']';
J_REST: . -> type(BROKEN), mode(RUBBLE);

mode RUBBLE;
R_REST: ANY+ -> type(REST);

// FROM, EXPOSE: words between blanks.
mode WORDS;
W_WS: BLANK+ -> skip;
W_END: END_WORD -> type(END_FLAGS), mode(PLAIN_WORDS);
W_FLAG: FLAG_WORD -> type(FLAG);
W_WORD: ('-' (~[- \t\r\n\u000B\f] ~[ \t\r\n\u000B\f]*)? | ~[- \t\r\n\u000B\f] ~[ \t\r\n\u000B\f]*) -> type(WORD), mode(PLAIN_WORDS);

mode PLAIN_WORDS;
P_WS: BLANK+ -> skip;
P_WORD: ~[ \t\r\n\u000B\f]+ -> type(WORD);

// ENV, LABEL, ARG: words with quotes and escapes in them. The second half is for "# escape=`": parser.cc puts PAIRS_TICK
// where the rules above say PAIRS.
mode PAIRS;
V_WS: BLANK+ -> skip;
V_END: END_WORD -> type(END_FLAGS), mode(VALUES);
V_FLAG: FLAG_WORD -> type(FLAG);
V_WORD: ('-' | ('-' VALUE_NO_DASH | VALUE_NO_DASH) VALUE_PART*) -> type(WORD), mode(VALUES);
V_BROKEN: ["'\\] -> type(BROKEN), mode(RUBBLE);
fragment VALUE_PART: ESC | DQ | SQ | ~[ \t\r\n\u000B\f"'\\];
fragment VALUE_NO_DASH: ESC | DQ | SQ | ~[- \t\r\n\u000B\f"'\\];

mode VALUES;
L_WS: BLANK+ -> skip;
L_WORD: VALUE_PART+ -> type(WORD);
L_BROKEN: ["'\\] -> type(BROKEN), mode(RUBBLE);

mode PAIRS_TICK;
T_WS: BLANK+ -> skip;
T_END: END_WORD -> type(END_FLAGS), mode(VALUES_TICK);
T_FLAG: FLAG_WORD -> type(FLAG);
T_WORD: ('-' | ('-' TICK_NO_DASH | TICK_NO_DASH) TICK_PART*) -> type(WORD), mode(VALUES_TICK);
T_BROKEN: ["'`] -> type(BROKEN), mode(RUBBLE);
fragment TICK_PART: ESC_TICK | DQ_TICK | SQ | ~[ \t\r\n\u000B\f"'`];
fragment TICK_NO_DASH: ESC_TICK | DQ_TICK | SQ | ~[- \t\r\n\u000B\f"'`];

mode VALUES_TICK;
U_WS: BLANK+ -> skip;
U_WORD: TICK_PART+ -> type(WORD);
U_BROKEN: ["'`] -> type(BROKEN), mode(RUBBLE);

// MAINTAINER, STOPSIGNAL, USER, WORKDIR, ONBUILD and what is unknown: the rest as it is.
mode LINE;
N_WS: BLANK+ -> skip;
N_END: END_WORD -> type(END_FLAGS), mode(PLAIN_LINE);
N_FLAG: FLAG_WORD -> type(FLAG);
N_TEXT: NO_FLAG -> type(TEXT);

mode PLAIN_LINE;
O_WS: BLANK+ -> skip;
O_TEXT: ~[ \t\r\n\u000B\f] ANY* -> type(TEXT);

// HEALTHCHECK: flags, a type, and then as RUN without flags.
mode HEALTH;
H_WS: BLANK+ -> skip;
H_END: END_WORD -> type(END_FLAGS), mode(HEALTH_TYPE);
H_FLAG: FLAG_WORD -> type(FLAG);
H_TYPE: ('-' (~[- \t\r\n\u000B\f] ~[ \t\r\n\u000B\f]*)? | ~[- \t\r\n\u000B\f] ~[ \t\r\n\u000B\f]*) -> type(WORD), mode(FORM);

mode HEALTH_TYPE;
I_WS: BLANK+ -> skip;
I_TYPE: ~[ \t\r\n\u000B\f]+ -> type(WORD), mode(FORM);

// What the generated lexer and parser and line_grammar.cc use of ANTLR's runtime, in the place of
// its header of that name: the library's own reads all 150 of its headers, and one of them
// (misc/InterpreterDataReader.h) is no C++ to clang.
#pragma once

#include <antlr4-runtime/ANTLRInputStream.h>
#include <antlr4-runtime/BailErrorStrategy.h>
#include <antlr4-runtime/BaseErrorListener.h>
#include <antlr4-runtime/CommonTokenStream.h>
#include <antlr4-runtime/FailedPredicateException.h>
#include <antlr4-runtime/Lexer.h>
#include <antlr4-runtime/NoViableAltException.h>
#include <antlr4-runtime/Parser.h>
#include <antlr4-runtime/ParserRuleContext.h>
#include <antlr4-runtime/Vocabulary.h>
#include <antlr4-runtime/atn/ATN.h>
#include <antlr4-runtime/atn/ATNDeserializer.h>
#include <antlr4-runtime/atn/LexerATNSimulator.h>
#include <antlr4-runtime/atn/ParserATNSimulator.h>
#include <antlr4-runtime/atn/PredictionContext.h>
#include <antlr4-runtime/dfa/DFA.h>
#include <antlr4-runtime/tree/TerminalNode.h>

ARG TAG=latest
ARG EMPTY
FROM --platform=$BUILDPLATFORM alpine:$TAG AS build
FROM alpine:latest$EMPTY
FROM alpine:${UNDECLARED:-latest}

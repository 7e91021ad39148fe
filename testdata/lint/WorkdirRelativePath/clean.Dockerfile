FROM alpine AS base
WORKDIR /srv
WORKDIR app
FROM base
WORKDIR more
FROM alpine
ENV D=/abs
WORKDIR $D

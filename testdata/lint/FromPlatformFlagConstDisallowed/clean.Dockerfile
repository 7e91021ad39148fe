ARG PLATFORM=linux/amd64
FROM --platform=$PLATFORM alpine
FROM --platform=${NONE:-linux/amd64} alpine
FROM --platform=linux/amd64 alpine AS build_amd64
FROM --platform=linux/amd64 alpine AS linux-tools

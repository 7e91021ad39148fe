FROM alpine AS build
FROM build
FROM alpine AS build2
FROM alpine

FROM alpine
LABEL org.opencontainers.image.authors="Ann <ann@example.org>"

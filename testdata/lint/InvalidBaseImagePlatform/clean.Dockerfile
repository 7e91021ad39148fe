FROM alpine AS one
FROM --platform=linux/arm64 arm AS on_arm64
FROM scratch
FROM hollow

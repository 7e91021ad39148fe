FROM scratch
FROM alpine AS contexts
FROM scratch AS scratch2

FROM --platform=$BUILDPLATFORM alpine
FROM --platform=$TARGETOS/$TARGETARCH alpine
FROM alpine

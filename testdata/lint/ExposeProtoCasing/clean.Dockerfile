FROM alpine
EXPOSE 80 81/tcp 53/udp 9000-9002/sctp

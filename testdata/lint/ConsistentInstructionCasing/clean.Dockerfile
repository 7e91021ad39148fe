arg before=any
FROM alpine
COPY a /a
ONBUILD run true
RUN <<EOF
env
EOF

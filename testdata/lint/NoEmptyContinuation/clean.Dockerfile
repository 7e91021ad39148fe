FROM alpine
RUN true && \
    # a comment is no blank line
    true
RUN <<EOF
a \

b
EOF

CMD ["sh"]

FROM alpine AS base
ARG declared
ARG set=1
ENV E=2
COPY $set$E$declared /x
COPY ${unset:-x}${unset-y}${unset:+z} /y
RUN echo $anything "${at all}"
CMD ["$PATH"]
COPY <<'EOF' /x
$quoted
EOF
WORKDIR '/$single'
FROM base
COPY $set$E /x

FROM alpine AS base
ENTRYPOINT ["/one"]
CMD ["1"]
HEALTHCHECK NONE
FROM base
ENTRYPOINT ["/two"]
CMD ["2"]
HEALTHCHECK CMD ["/check"]
RUN true
RUN true

FROM alpine AS a
CMD ["run", "--it"]
ENTRYPOINT ["run"]
HEALTHCHECK CMD run --check
FROM alpine AS b
SHELL ["/bin/bash", "-c"]
CMD run --it
FROM b
ENTRYPOINT run --it
FROM shelled
CMD run --it

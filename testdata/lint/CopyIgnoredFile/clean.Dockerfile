FROM alpine AS base
COPY a.txt docs/notes.md /
ADD https://example.org/notes.md /
COPY . /all
COPY <<notes.md /
x
notes.md
FROM alpine
COPY --from=base /secret /secret

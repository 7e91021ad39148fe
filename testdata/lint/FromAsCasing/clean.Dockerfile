FROM alpine AS one
FROM alpine

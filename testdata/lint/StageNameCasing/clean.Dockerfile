FROM alpine AS builder
FROM alpine AS build_2.0-x
FROM alpine

# check=experimental=InvalidDefinitionDescription

# VERSION of the app
ARG VERSION=1
# this is a remark

FROM alpine AS build
# a remark that an empty comment ends
#
ARG X
# two lines, the last one counts
# B is the second
ARG A=1 B=2
# for other instructions anything goes
RUN true
# and for stages without a name
FROM alpine

# check=skip=UndefinedVar,JSONArgsRecommended;experimental=InvalidDefinitionDescription
FROM alpine
# check=skip=FromAsCasing
RUN true

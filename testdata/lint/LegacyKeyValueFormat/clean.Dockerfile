FROM alpine
ENV name="the value" other=1
LABEL title="the title"
ENV a=b c=d

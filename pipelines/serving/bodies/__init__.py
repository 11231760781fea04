"""Bodies: what a request sends and an answer returns in JSON, read strictly, field by field."""

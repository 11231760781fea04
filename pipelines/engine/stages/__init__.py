"""The five stages of an answer: filter, encode, retrieve, rank, compose."""

"""Queries: how a query becomes terms, with corrections, compounds, synonyms and operators."""

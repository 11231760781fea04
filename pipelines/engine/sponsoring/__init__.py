"""Sponsoring: which products of a page are sponsored, and where; the organic page is given."""

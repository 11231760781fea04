"""Imports The Complete Journey, the demo shop: a real supermarket of 2017."""

"""Importers: each turns one kind of source into a shop folder with a quality report."""

"""Index: vectors, terms, columns and rows."""

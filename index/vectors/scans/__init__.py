"""Exact comparison with every row: in full precision, as bytes, and on a GPU."""

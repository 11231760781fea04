"""Vectors: every kind of nearest-neighbour index, and how one is chosen."""

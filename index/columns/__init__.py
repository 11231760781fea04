"""Columns: attributes in Arrow, filters over them, and columns as numbers."""

"""Exports: knows the columns that shops, feeds and analytics write, and makes a file's mapping."""

"""The shop folder: what the owner of a shop has, as Parquet, and what is read from it."""

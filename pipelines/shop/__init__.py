"""The shop folder: products, events, users and pictures of one shop as Parquet files."""

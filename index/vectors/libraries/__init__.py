"""Vector indexes by library: each file is the only one that knows its library."""

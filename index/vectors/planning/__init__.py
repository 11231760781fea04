"""Planning: measures designs of an index, and builds the fastest that meets the target."""

"""Makes training requests for the towers, and measures what they gain."""

"""Tables of purchases: histories, popularity, and relations between products."""

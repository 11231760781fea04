"""Two towers that learn: products and requests as unit vectors of one space."""

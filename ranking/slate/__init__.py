"""Cuts the page, says why each product is on it, and measures who is shown."""

"""Purchases of a shop: what was bought, at which price, and what was given back."""

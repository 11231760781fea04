"""Draws reports as HTML pages that need no network."""

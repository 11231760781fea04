"""Draws reports as HTML pages that need nothing from outside."""

"""Draws pack shots for products that have no photograph."""

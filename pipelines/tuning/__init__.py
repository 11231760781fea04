"""Tuning: tries settings on a shop's own past, and chooses the best."""

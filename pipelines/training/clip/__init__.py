"""Trains an open_clip model on pictures and texts of a shop."""

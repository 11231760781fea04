"""Asks a release questions whose answers are known, and measures."""

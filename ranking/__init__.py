"""Ranking: what a shopper sees, and in which order."""

"""Turns a shop's texts and pictures into vectors, each distinct one once."""

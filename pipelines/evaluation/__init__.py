"""Evaluation: answers requests whose relevant products are known, and measures the answers."""

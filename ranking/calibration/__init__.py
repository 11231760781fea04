"""Turns logits into probabilities, and measures how far they can be trusted."""

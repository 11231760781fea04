"""Calibration: turns logits into probabilities, and measures their reliability."""

"""The cross-attention network: its parts, its losses and its training."""

"""Channels: each proposes products for one reason."""

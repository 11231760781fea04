"""Channels: each proposes products for one reason, and scores given ones."""

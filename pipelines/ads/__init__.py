"""Ads: who may be shown, what a showing costs, and what was paid, durable to the micro."""

"""Tries settings, and keeps what measures best."""

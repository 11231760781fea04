"""Answers one request from one release."""

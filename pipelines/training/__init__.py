"""Learns from a shop's past: encoders, towers, fusion weights and the ranker."""

"""Profiles: what is known of each shopper's recent acts, and what answers read of it."""

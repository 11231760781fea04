"""Makes a trained ranker smaller, and writes it for other machines."""

"""Makes training requests for the ranker, calibrates it, and makes smaller ones."""

"""What the ranker is told of a candidate: one definition for training and for serving."""

"""Features of a candidate: one definition for training and for serving."""

"""People: the names under which shoppers are kept, and what of them may not be used any more."""

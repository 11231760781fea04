"""Fine-tunes a sentence encoder on judged pairs of a query and a title."""

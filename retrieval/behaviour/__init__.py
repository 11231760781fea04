"""What shoppers did, as tables: history, popularity, relations between products."""

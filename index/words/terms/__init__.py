"""Terms: how texts become the terms that they are found by, and in which form."""

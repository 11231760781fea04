"""How good a ranked list is, and how sure that is: pure functions of arrays and lists."""

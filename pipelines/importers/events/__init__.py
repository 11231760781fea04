"""Events: reads the rows of a log: their times, acts and amounts, as shops write them."""

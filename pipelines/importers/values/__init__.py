"""Values: reads the cells of a table, prices, availability and texts, as shops write them."""

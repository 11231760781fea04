"""The slate: the first products of an order with their reasons, and measures of exposure."""

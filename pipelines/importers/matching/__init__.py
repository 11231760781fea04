"""Matching: finds the products that the ids of a log mean, by another field or in another form."""

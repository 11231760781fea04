"""Puts the lists of several channels into one order, and fits how much each counts."""

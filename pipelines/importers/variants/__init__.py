"""Variants: which rows of a table are variants of one product, its pictures, or not for sale."""

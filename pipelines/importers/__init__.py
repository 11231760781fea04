"""Importers: any source of products and events into one shop folder."""

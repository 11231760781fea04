"""A release: its manifest, the folder of releases with the current one, and its parts opened."""

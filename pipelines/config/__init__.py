"""The configuration: its sections with their defaults, and how they are read from YAML."""

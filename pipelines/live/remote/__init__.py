"""Changes that another process writes: sent to it over a local socket, and read from its log."""

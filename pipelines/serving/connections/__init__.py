"""Connections: the address, the HTTP server below the application, and limits on its clients."""

"""Pipelines: files, clocks and sockets around the three floors below."""

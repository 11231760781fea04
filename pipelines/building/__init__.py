"""Builds a release: its steps in order, judged by the gate, then published."""

"""Benchmarks print figures of quality and speed; `python -m benchmarks` lists and runs them."""

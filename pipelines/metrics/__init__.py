"""Metrics of ranked lists, and their confidence intervals: pure functions of arrays and lists."""

"""Mutation testing: changes one place of the code at a time, and asks the tests to see it."""

"""Takes a new user from nothing to a shop window that gets better while it is open."""

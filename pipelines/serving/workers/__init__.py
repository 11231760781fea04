"""Several processes that answer on one port, one that writes changes, and what keeps them."""

"""The auction: one exact allocation of a page to sponsored and organic products, and its prices."""

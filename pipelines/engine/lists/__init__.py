"""Lists of all that a request matches: sorted, counted, collapsed, page by page."""

"""The HTTP server: answers requests, takes changes, and follows the current release."""

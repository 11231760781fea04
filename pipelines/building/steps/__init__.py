"""The steps of a build: each writes one part of a release."""

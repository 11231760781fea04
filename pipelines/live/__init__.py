"""Changes between two builds: kept on disk, searched at once, folded into the next release."""

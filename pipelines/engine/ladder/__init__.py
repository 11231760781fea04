"""The ladder: from the full answer to cheaper ones, by the time that is left and what fails."""

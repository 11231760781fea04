"""Bounds the words and the length of a text before an image-text model reads it."""

import re

LONGEST_WORD = 64  # letters; byte-pair encoding takes time quadratic in the length of a word
LETTERS_PER_TOKEN = 16


def shortened(text: str, longest: int) -> str:
    """Return the first `longest` characters of a text, its words cut after LONGEST_WORD."""
    return re.sub(rf"(\S{{{LONGEST_WORD}}})\S+", r"\1", text)[:longest]

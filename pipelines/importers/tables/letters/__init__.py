"""Letters: tells the encoding of a text by how plausible the letters are that it gives."""

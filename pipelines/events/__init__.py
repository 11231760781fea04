"""Acts of shoppers: taken over HTTP, kept on disk, read by the next answer and the next build."""

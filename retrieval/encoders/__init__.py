"""What turns texts, pictures and videos into vectors, and what runs it."""

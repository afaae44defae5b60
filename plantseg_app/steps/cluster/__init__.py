"""Steps from embeddings to objects."""

"""SPOCO: pixel embeddings that are learned from all objects, or from a few."""

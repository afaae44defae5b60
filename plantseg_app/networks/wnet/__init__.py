"""W-Net: pixel embeddings that are helped by the distance to the border."""

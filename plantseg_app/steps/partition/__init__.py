"""Steps that join superpixels into cells."""

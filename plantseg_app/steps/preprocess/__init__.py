"""Steps that prepare an image: smooth, rescale, crop, normalise, even out, combine. See README.md beside this file."""

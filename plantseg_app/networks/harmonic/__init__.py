"""The harmonic family: a network that says for each pixel where on some sine waves the object around it lies."""

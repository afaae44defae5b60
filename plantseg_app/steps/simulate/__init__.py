"""Steps that make images of cells that are known, to test and to train with."""

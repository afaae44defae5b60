"""Steps that clean up a segmentation."""

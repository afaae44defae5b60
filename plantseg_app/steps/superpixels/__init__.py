"""Steps that cut a boundary map into superpixels or, with seeds, straight into cells."""

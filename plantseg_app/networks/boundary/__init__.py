"""The boundary family: a network that predicts how probably each voxel lies on a cell boundary."""

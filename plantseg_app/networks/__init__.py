"""Networks: architectures, families of methods built on them, weights, tiled prediction.

The only home of torch.
"""

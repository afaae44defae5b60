"""PlantSeg App: from a microscopy stack to proofread cells.

Importing the package does nothing but define its version: no torch, no Qt, no file, no device.

>>> import plantseg_app
>>> plantseg_app.__version__.count(".")
2
"""

__version__ = "0.1.0"

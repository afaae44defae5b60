"""Correcting cells on the canvas: what the mouse does, what is drawn over the cells, and the session behind it.

What a correction does to the labels is `plantseg_app.proofread`'s business; nothing here changes a voxel.
"""

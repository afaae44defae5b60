"""The window: the only part of the program that knows Qt and napari.

It holds no algorithm and no parameter. What can be set comes from the steps, what is done goes through the runner,
and what was done is a workflow.
"""

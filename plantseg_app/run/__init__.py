"""Running workflows: one at a time with progress and cancelling, many in a batch, and telling what came out.

Knows workflows, files and scores; knows no window and no command line.
"""

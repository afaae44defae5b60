"""The central objects: volumes, steps, workflows and the context in which they run.

Knows numpy and pydantic, and nothing of files, networks, windows or command lines.
"""

"""Numerical functions: plain arrays in, plain arrays out.

They know nothing of volumes, steps, files or windows; scales arrive as numbers. Everything here is deterministic.
"""

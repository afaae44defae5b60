"""Proofreading: corrections of labels that can be taken back, kept in a journal, and learned from.

A `ProofreadSession` (`session.py`) holds the labels and does what the tools of `tools/` say; each tool is one frozen
settings object in one file. Knows no window.
"""

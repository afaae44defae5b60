"""The pages of the wizard, one file each, in the order of the work.

A page shows a part of the document and changes it; it holds no parameter and computes nothing.
"""

"""Models of BioImage.IO: the collection, packages that are added, and models of this program written as packages.

The description of a package is read by bioimageio.spec, which knows its versions; it is imported where it is needed and
never asked to fetch or to open a file. What is done to grey values is in `plantseg_app.algorithms.operations`.
"""

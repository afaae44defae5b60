"""Training of networks from labelled stacks: settings, data, augmentation, one loop, and a model folder at the end.

Imports of this package are cheap; torch is loaded by the modules that train.
"""

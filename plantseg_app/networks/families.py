"""Imports every network family so that the registry is complete: one folder below this one each.

>>> from plantseg_app.networks.family import FAMILIES
>>> "boundary" in FAMILIES
True
"""

from __future__ import annotations

import importlib
import pkgutil

import plantseg_app.networks as package

for _module in pkgutil.iter_modules(package.__path__):
    if _module.ispkg:
        importlib.import_module(f"{package.__name__}.{_module.name}.family")

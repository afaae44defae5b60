"""All steps: importing this package imports every module below it, which fills the registry.

Steps are thin: they unpack volumes, call `plantseg_app.algorithms` or `plantseg_app.networks`, and pack the result.
A module here must be cheap to import; what is slow is imported inside `run`.

>>> from plantseg_app.core.step import STEPS
>>> len(STEPS) > 0
True
"""

from __future__ import annotations

import importlib
import pkgutil

from plantseg_app.core.step import STEPS

for _module in pkgutil.walk_packages(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)

if len(STEPS) == 0:
    # A frozen bundle without its step modules would start happily and offer nothing.
    raise ImportError("The program holds no steps: its modules under plantseg_app/steps are missing; install it again.")

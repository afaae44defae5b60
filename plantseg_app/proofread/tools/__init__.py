"""All tools: importing this package imports every module below it, which fills the registry.

>>> from plantseg_app.proofread.tool import TOOLS
>>> "merge" in TOOLS
True
"""

from __future__ import annotations

import importlib
import pkgutil

from plantseg_app.proofread.tool import TOOLS

for _module in pkgutil.walk_packages(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)

if len(TOOLS) == 0:
    raise ImportError("The program holds no tools: its modules under plantseg_app/proofread/tools are missing.")

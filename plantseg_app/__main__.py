"""Start the program with ``python -m plantseg_app``."""

from __future__ import annotations

import multiprocessing
import sys

from plantseg_app.cli.main import main

if __name__ == "__main__":
    # In a frozen bundle the worker's process begins here, too.
    multiprocessing.freeze_support()
    sys.exit(main())

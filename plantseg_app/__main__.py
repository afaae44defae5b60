"""Start the program with ``python -m plantseg_app``."""

from __future__ import annotations

import sys

from plantseg_app.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""Which process a folder belongs to, and whether that process is alive.

The owner stands in a file, ``owner-1.json``; who takes the folder over from a dead process writes ``owner-2.json``,
which only one can, since a file is made once.

>>> import tempfile
>>> with tempfile.TemporaryDirectory() as folder:
...     claim(Path(folder), 1)
...     owner_of(Path(folder))
(1, True)
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

_OWNER = "owner-"
_CLAIM_S = 60.0
_ELSEWHERE_S = 24 * 3600.0


def claim(folder: Path, generation: int) -> None:
    """Make this process the owner; FileExistsError when another was quicker."""
    owner = {"pid": os.getpid(), "began": _began(os.getpid()), "host": _host()}
    with (folder / f"{_OWNER}{generation}.json").open("x", encoding="utf-8") as file:
        file.write(json.dumps(owner))


def owner_of(folder: Path) -> tuple[int | None, bool]:
    """Return the generation of the last owner (None: there is none), and whether that process is alive."""
    generations = [
        int(path.stem.removeprefix(_OWNER))
        for path in folder.glob(f"{_OWNER}*.json")
        if path.stem.removeprefix(_OWNER).isdecimal()
    ]
    if not generations:
        return None, False
    path = folder / f"{_OWNER}{max(generations)}.json"
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        pid, began, host = int(owner["pid"]), owner["began"], owner["host"]
    except (ValueError, KeyError, TypeError):
        # Half-written: it is being claimed right now, or was when the machine stopped.
        return max(generations), time.time() - path.stat().st_mtime < _CLAIM_S
    if host != _host():
        # Nobody can tell from here whether a process of another machine is alive; but machines are renamed, too.
        return max(generations), time.time() - folder.stat().st_mtime < _ELSEWHERE_S
    return max(generations), _began(pid) == began


def _began(pid: int) -> str:
    """Return when a process began, so that a recycled number does not pass for it; "" when there is none.

    On Linux in ticks of this boot, which do not move when the clock is set.
    """
    import psutil

    try:
        if sys.platform == "linux":
            boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            # A zombie is a process that is gone and that nobody has buried yet.
            return "" if fields[0] == b"Z" else f"{boot} {int(fields[19])}"
        return str(round(psutil.Process(pid).create_time()))
    except (OSError, psutil.Error):
        return ""


def _host() -> str:
    import socket

    return socket.gethostname()

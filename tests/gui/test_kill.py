"""Kill -9 of the whole program: what was open is offered at the next start, and no process is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from plantseg_app.paths import samples_dir, sessions_dir
from plantseg_app.run.session import Session, find_crashed

pytestmark = pytest.mark.gui
LONG_S = 120.0


@pytest.fixture
def program() -> Iterator[subprocess.Popen[bytes]]:
    sample = samples_dir() / "sample_ovule.h5"
    process = subprocess.Popen([sys.executable, "-m", "plantseg_app", str(sample)])
    yield process
    process.kill()
    process.wait()


def saved_state(process: subprocess.Popen[bytes]) -> Path:
    """Wait until the running program has saved that its image is open."""
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline and process.poll() is None:
        for path in sessions_dir().glob("*/session.json"):
            if '"name":"sample_ovule"' in path.read_text(encoding="utf-8"):
                return path
        time.sleep(0.05)
    raise AssertionError(f"the program did not save its session; its status is {process.poll()}")


def test_what_was_open_is_offered_after_a_kill(program: subprocess.Popen[bytes]) -> None:
    saved_state(program)
    children = psutil.Process(program.pid).children(recursive=True)
    os.kill(program.pid, signal.SIGKILL)
    program.wait()
    gone, alive = psutil.wait_procs(children, timeout=LONG_S)
    assert gone
    assert alive == []

    (crashed,) = find_crashed()
    assert crashed.problem == ""
    session = Session.restore(crashed.folder)
    (image,) = session.state.images
    assert session.store.open(image.ref).shape_vox == (32, 128, 128)
    assert image.path.endswith("sample_ovule.h5")
    assert "membranes-gasp" in session.state.workflow
    session.close()

"""The house rules that a tool can check: layers, silence at import, nothing of Qt below the window."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["plantseg_app", "plantseg_app.core.workflow", "plantseg_app.cli.main"])
def test_importing_brings_neither_torch_nor_qt(module: str) -> None:
    program = f"import sys, {module}; print([n for n in ('torch', 'PySide6', 'napari', 'vispy') if n in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_importing_everything_below_the_window_makes_no_file(tmp_path: object) -> None:
    program = (
        "import importlib, pkgutil, plantseg_app, sys\n"
        "for m in pkgutil.walk_packages(plantseg_app.__path__, 'plantseg_app.'):\n"
        "    if not m.name.startswith('plantseg_app.gui') and not m.name.endswith('__main__'):\n"
        "        importlib.import_module(m.name)\n"
        "print([n for n in ('PySide6', 'napari', 'vispy', 'qtpy') if n in sys.modules])"
    )
    environment = {"PLANTSEG_APP_HOME": f"{tmp_path}/home", "HOME": f"{tmp_path}", "PATH": "/usr/bin:/bin"}
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "[]"
    assert not any(__import__("pathlib").Path(str(tmp_path)).rglob("plantseg*"))

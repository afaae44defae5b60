"""The set-up script decides without installing anything here."""

from __future__ import annotations

import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "installer" / "bootstrap.py"


@pytest.fixture
def bootstrap() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_imports_the_standard_library_alone() -> None:
    for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for name in names:
            assert name.split(".")[0] in {*sys.stdlib_module_names, "__future__"}, name


def test_an_old_python_is_refused_in_words(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 1))
    with pytest.raises(bootstrap.SetupError, match=r"3\.9\.1.*3\.11"):
        bootstrap.check_python()


def test_the_stamp_makes_a_second_run_quick(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bootstrap.subprocess, "run", lambda command, **_: commands.append(command))
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    bootstrap.install(python, developer=False)
    assert len(commands) == 1
    bootstrap.install(python, developer=False)
    assert len(commands) == 1
    bootstrap.install(python, developer=True)
    assert len(commands) == 3
    monkeypatch.setattr(bootstrap, "fingerprint", lambda: "other pins")
    bootstrap.install(python, developer=False)
    assert len(commands) == 4


def test_missing_libraries_are_named_with_the_command(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap.sys, "platform", "linux")
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(bootstrap, "is_present", lambda probe: "xcb-cursor" not in probe)
    monkeypatch.setattr(bootstrap, "distribution_family", lambda wanted: "fedora")
    bootstrap.provide_system_libraries(["window"])
    assert "sudo dnf install -y xcb-util-cursor" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("release", "family"),
    [
        ({"ID": "ubuntu"}, "debian"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "fedora"),
        ({"ID": "x"}, "debian"),
    ],
)
def test_the_distribution_decides_the_names(
    bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch, release: dict[str, str], family: str
) -> None:
    monkeypatch.setattr(bootstrap.platform, "freedesktop_os_release", lambda: release)
    wanted = json.loads((ROOT / "installer" / "system-packages.json").read_text(encoding="utf-8"))
    assert bootstrap.distribution_family(wanted) == family
    for libraries in wanted["libraries"].values():
        for packages in libraries.values():
            assert set(packages) == set(wanted["install"])


def test_the_pins_hold_torch_exactly_and_keep_the_crashing_qt_out() -> None:
    constraints = (ROOT / "installer" / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    assert "torch==2.13.0" in constraints
    qt = [line for line in constraints if line.startswith("pyside6")]
    assert [line.replace("_", "-").startswith("pyside6-essentials==6.11") for line in qt] == [True]
    assert not any("addons" in line for line in constraints)

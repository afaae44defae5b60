"""Fixtures that every test may use."""

from __future__ import annotations

import functools
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

# Children of a process that has loaded everything start at once, where a new interpreter would load it again.
_FORK_FOR_EVER = """
import os, sys
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        write_for_ever()
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=20, help="how often the journal of corrections is killed (20)")


@pytest.fixture(autouse=True)
def _same_random_networks() -> None:
    """A test that builds a network without saying how gets the same weights in every run."""
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def killed_while_writing() -> Callable[[str, Iterable[object], Iterable[float]], Iterator[None]]:
    """Run ``write_for_ever()`` of a program: ``for _ in killed(program, arguments, pauses)``, each time killed."""

    def killed(program: str, arguments: Iterable[object], pauses: Iterable[float]) -> Iterator[None]:
        command = [sys.executable, "-c", program + _FORK_FOR_EVER, *map(str, arguments)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for pause in pauses:
                print("again", file=process.stdin, flush=True)
                child = int(process.stdout.readline())
                time.sleep(pause)
                os.kill(child, signal.SIGKILL)
                assert int(process.stdout.readline()) == -signal.SIGKILL
                yield

    return killed


@pytest.fixture(scope="session")
def make_tissue() -> Callable[..., Any]:
    """Synthetic tissue with known cells: ``labels, boundary = make_tissue((32, 64, 64), seed=1)``."""
    return _neighbour("tissue").make_tissue


@pytest.fixture
def file_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A server of files on this machine (tests/file_server.py): ``url = file_server.put("/a", b"content")``."""
    # What the machine is set to use for the internet must not stand between a test and its own server.
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with _neighbour("file_server").FileServer().running() as server:
        yield server


@functools.cache
def _neighbour(name: str) -> ModuleType:
    """Load a module beside this file: test folders are no packages."""
    spec = importlib.util.spec_from_file_location(f"tests_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module

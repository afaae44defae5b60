"""Fixtures that every test may use."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def make_tissue() -> Callable[..., Any]:
    """Synthetic tissue with known cells: ``labels, boundary = make_tissue((32, 64, 64), seed=1)``."""
    # Test folders are no packages, so the file is loaded by its place.
    spec = importlib.util.spec_from_file_location("synthetic_tissue", Path(__file__).with_name("tissue.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_tissue

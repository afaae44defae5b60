"""The tutorial: its pictures are those that its script makes, and the script still finds its way through the window."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image
from pytestqt.qtbot import QtBot

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = DOCS / "images" / "tutorial"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_tutorial", DOCS / "make_tutorial.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_picture_is_made_by_the_script_and_shown_in_the_text(script: ModuleType) -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    shown = re.findall(r"\(images/tutorial/(\w+)\.png\)", text)
    assert shown == list(script.CHAPTERS)
    assert sorted(path.stem for path in PICTURES.iterdir()) == sorted(shown)


def test_pictures_are_small_and_of_one_size() -> None:
    files = list(PICTURES.iterdir())
    assert sum(file.stat().st_size for file in files) < 2_500_000
    for file in files:
        with Image.open(file) as picture:
            assert picture.size == (1280, 800), file.name


@pytest.mark.gui
def test_the_script_makes_its_first_pictures(script: ModuleType, qtbot: QtBot, tmp_path: Path) -> None:
    made = script.make(tmp_path, until="load")
    assert [path.stem for path in made] == ["start", "tour", "load"]
    pictures = []
    for path in made:
        with Image.open(path) as picture:
            pictures.append(np.asarray(picture.convert("L"), dtype=np.int16))
    assert {picture.shape for picture in pictures} == {(800, 1280)}
    canvas = (slice(150, 700), slice(480, 900))
    # Where nothing was, the tour's bubble has come, and then the image.
    assert pictures[0][canvas].std() < 1
    assert np.abs(pictures[1] - pictures[0]).max() > 50
    assert pictures[2][canvas].std() > 20

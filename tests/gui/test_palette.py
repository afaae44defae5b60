"""Colours that carry text can be read, and those of cells can be told apart."""

from __future__ import annotations

import itertools
import re

import pytest

from plantseg_app.gui.palette import LABEL_PALETTES, TEXT_ON, THEMES, contrast
from plantseg_app.paths import resources_dir


@pytest.mark.parametrize("theme", list(THEMES))
def test_every_text_can_be_read_on_what_it_stands_on(theme):
    colours = THEMES[theme].variables()
    for text, surface in TEXT_ON:
        assert contrast(colours[text], colours[surface]) >= 4.5, (theme, text, surface)


@pytest.mark.parametrize("theme", list(THEMES))
def test_the_frame_of_the_keyboard_is_seen(theme):
    colours = THEMES[theme].variables()
    for surface in ("background", "primary", "field"):
        assert contrast(colours["focus"], colours[surface]) >= 3.0, (theme, surface)


def test_contrast_is_that_of_the_standard():
    # Pairs given by the WCAG working group.
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)


def test_every_pair_of_the_style_sheet_is_among_those_that_are_checked():
    sheet = (resources_dir() / "style" / "window.qss").read_text(encoding="utf-8")
    for rule in re.findall(r"\{([^{}]*(?:\{\{[^}]*\}\}[^{}]*)*)\}", sheet):
        found = dict(re.findall(r"(?<![\w-])(background-color|color): \{\{ (\w+) \}\}", rule))
        if len(found) == 2 and found["color"] != "disabled":
            assert (found["color"], found["background-color"]) in TEXT_ON, rule


@pytest.mark.parametrize("name", list(LABEL_PALETTES))
def test_neighbouring_cells_get_different_colours(name):
    palette = LABEL_PALETTES[name]
    assert palette.title
    assert palette.help.endswith(".")
    assert len(set(palette.colours)) == len(palette.colours) >= 9
    assert all(re.fullmatch("#[0-9a-f]{6}", colour) for colour in palette.colours)
    for one, other in itertools.pairwise((*palette.colours, palette.colours[0])):
        apart = sum(abs(int(one[k : k + 2], 16) - int(other[k : k + 2], 16)) for k in (1, 3, 5))
        assert apart >= 60, (one, other)

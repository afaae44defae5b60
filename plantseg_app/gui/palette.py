"""The colours of the window, light and dark, as plain data; and those in which cells are painted.

Knows no Qt, so that a test can check every pair of colours that carries text. `plantseg_app.gui.style` puts them on.

>>> round(contrast("#000000", "#ffffff"), 1)
21.0
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

ThemeName = Literal["dark", "light"]


@dataclasses.dataclass(frozen=True)
class Colours:
    """The colours of one theme, as ``#rrggbb``.

    The first group has the names that napari's style sheet uses, the second is our own.
    """

    background: str
    foreground: str
    primary: str
    secondary: str
    highlight: str
    current: str
    text: str
    icon: str

    field: str
    muted: str
    disabled: str
    border: str
    focus: str
    accent: str
    accent_hover: str
    on_accent: str
    error: str
    warning: str
    good: str

    def variables(self) -> dict[str, str]:
        """Return them by name, for the style sheet."""
        return dataclasses.asdict(self)


THEMES: Mapping[ThemeName, Colours] = MappingProxyType(
    {
        "dark": Colours(
            background="#25282f",
            foreground="#343941",
            primary="#444b56",
            secondary="#8a94a1",
            highlight="#56606d",
            current="#2a5f9c",
            text="#f0f1f2",
            icon="#d5d7da",
            field="#1d2026",
            muted="#b4bac3",
            disabled="#8a919c",
            border="#59616d",
            focus="#6db3f2",
            accent="#2a66a8",
            accent_hover="#245a95",
            on_accent="#ffffff",
            error="#ff9b8f",
            warning="#f2c14e",
            good="#7fd1ae",
        ),
        "light": Colours(
            background="#f4f3f1",
            foreground="#e4e1de",
            primary="#d8d4d0",
            secondary="#75716d",
            highlight="#c4bfba",
            current="#a8cbf0",
            text="#262524",
            icon="#454442",
            field="#ffffff",
            muted="#575552",
            disabled="#85817d",
            border="#b3aeaa",
            focus="#1b62ad",
            accent="#1f5fa8",
            accent_hover="#194f8d",
            on_accent="#ffffff",
            error="#a3190c",
            warning="#7a4d00",
            good="#0f6145",
        ),
    }
)

_SURFACES = ("background", "foreground", "primary", "highlight", "current", "field")
TEXT_ON: tuple[tuple[str, str], ...] = (
    *(("text", surface) for surface in _SURFACES),
    *((colour, "background") for colour in ("muted", "error", "warning", "good")),
    ("muted", "field"),
    ("muted", "foreground"),
    ("error", "field"),
    ("warning", "field"),
    ("good", "field"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
)
"""Which colour of text stands on which surface anywhere in the window."""


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21; 4.5 is needed to read text with ease (WCAG 2.2, 1.4.3)."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of an sRGB colour (WCAG 2.2)."""
    linear = []
    for start in (1, 3, 5):
        share = int(colour[start : start + 2], 16) / 255
        linear.append(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4)
    red, green, blue = linear
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@dataclasses.dataclass(frozen=True)
class LabelPalette:
    """Colours in which neighbouring cells are told apart; label n has colour n modulo their number.

    Attributes
    ----------
    title
        Its name for people.
    help
        What it is good for.
    colours
        As ``#rrggbb``.
    """

    title: str
    help: str
    colours: tuple[str, ...]


def _spread(seeds: tuple[str, ...]) -> tuple[str, ...]:
    """Return `seeds`, then lighter and darker versions of each, so that neighbours rarely share a colour."""
    lighter = tuple(_mixed(colour, "#ffffff", 0.45) for colour in seeds)
    darker = tuple(_mixed(colour, "#000000", 0.35) for colour in seeds)
    return seeds + lighter + darker


def _mixed(colour: str, other: str, share: float) -> str:
    parts = (
        round((1 - share) * int(colour[start : start + 2], 16) + share * int(other[start : start + 2], 16))
        for start in (1, 3, 5)
    )
    return "#" + "".join(f"{part:02x}" for part in parts)


LABEL_PALETTES: Mapping[str, LabelPalette] = MappingProxyType(
    {
        "okabe-ito": LabelPalette(
            "Okabe and Ito",
            "Told apart with every kind of colour blindness (doi:10.1038/nmeth.1618).",
            _spread(("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")),
        ),
        "tol-bright": LabelPalette(
            "Tol, bright",
            "Paul Tol's bright colours, safe for colour-blind eyes and clear on black.",
            _spread(("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")),
        ),
        "tol-muted": LabelPalette(
            "Tol, muted",
            "Paul Tol's muted colours: more of them, less glaring over a bright image.",
            _spread(
                ("#cc6677", "#332288", "#ddcc77", "#117733", "#88ccee", "#882255", "#44aa99", "#999933", "#aa4499")
            ),
        ),
        "greys": LabelPalette(
            "Greys",
            "Told apart by brightness alone; for printing and for overlays over a coloured map.",
            tuple(f"#{level:02x}{level:02x}{level:02x}" for level in (80, 200, 120, 240, 160, 100, 220, 140, 180)),
        ),
    }
)
"""Palettes for cells by the name that preferences store."""

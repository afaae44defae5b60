"""Objects that overlap on the canvas: a layer a plane under one name, colours by id and the same in every plane."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.gui.viewer import Viewer

pytestmark = pytest.mark.gui


@pytest.fixture
def viewer(qtbot: QtBot) -> Iterator[Viewer]:
    made = Viewer("dark")
    qtbot.addWidget(made.widget)
    yield made
    made.close()


def crossing(n_layers: int) -> Volume:
    data = np.zeros((n_layers, 1, 16, 16), np.uint32)
    for i in range(n_layers):
        data[i, 0, 2 * i : 2 * i + 6, 3:13] = i + 1
    return Volume(data, Kind.LAYERED_LABELS, name="worms")


def test_planes_share_a_name_in_everything_that_is_done_with_it(viewer: Viewer) -> None:
    viewer.show(Volume(np.zeros((1, 16, 16), np.uint8), Kind.RAW), "image")
    viewer.show(crossing(3), "worms")
    assert viewer.layer_names() == ["image", "worms 1", "worms 2", "worms 3"]
    viewer.set_visible("worms", False)
    assert viewer.visible_names() == ["image"]
    viewer.put_on_top("image")
    viewer.put_on_top("worms")
    assert viewer.layer_names() == ["image", "worms 1", "worms 2", "worms 3"]
    viewer.rename("worms", "cells")
    assert viewer.layer_names() == ["image", "cells 1", "cells 2", "cells 3"]
    # A new result with fewer planes takes the place of the old one, also one without overlaps.
    viewer.show(crossing(2), "cells")
    assert viewer.layer_names() == ["image", "cells 1", "cells 2"]
    viewer.show(Volume(np.ones((1, 16, 16), np.uint32), Kind.LABELS), "cells")
    assert viewer.layer_names() == ["image", "cells"]
    viewer.show(crossing(2), "cells")
    viewer.remove("cells")
    assert viewer.layer_names() == ["image"]


@pytest.mark.parametrize("palette", [(), ("#0072b2", "#e69f00", "#009e73", "#cc79a7")], ids=["usual", "own"])
def test_an_id_has_one_colour_in_every_plane(viewer: Viewer, palette: tuple[str, ...]) -> None:
    viewer.set_palette(palette)
    viewer.show(crossing(3), "worms")
    colours = [
        [tuple(np.round(viewer.labels_layer(f"worms {plane}").get_color(name), 4)) for name in (1, 2, 3)]
        for plane in (1, 2, 3)
    ]
    assert colours[0] == colours[1] == colours[2]
    assert len(set(colours[0])) == 3

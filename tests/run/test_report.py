from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from plantseg_app.core.volume import Kind, Volume
from plantseg_app.evaluate import evaluate_labels
from plantseg_app.run.events import NodeTiming
from plantseg_app.run.picture import PALETTE, colours_of, grey_levels, outlines, overlay_panel, overlay_picture
from plantseg_app.run.report import Report, cell_sizes, report_html, write_overlay, write_report


@pytest.fixture
def cells() -> Volume:
    data = np.zeros((6, 20, 30), np.uint32)
    data[:, :10, :15], data[:, 10:, :15], data[:, :10, 15:] = 7, 8, 70000
    return Volume(data, Kind.LABELS, (0.5, 0.2, 0.2), name="cells")


@pytest.fixture
def raw(cells: Volume) -> Volume:
    noise = np.random.default_rng(0).integers(0, 255, cells.data.shape, dtype=np.uint8)
    return Volume(noise, Kind.RAW, (0.5, 0.2, 0.2), name="raw")


def test_the_picture_shows_square_micrometres_and_both_cuts(raw, cells):
    picture = overlay_picture(raw, cells)
    assert picture.dtype == np.uint8
    # 20 x 30 voxels of 0.2 um are 373 x 560 pixels; 6 slices of 0.5 um are 280.
    assert picture.shape == (373 + 8 + 280, 2 * 560 + 8, 3)
    assert overlay_picture(raw.replace(data=raw.data[:1]), cells.replace(data=cells.data[:1])).shape == (373, 1128, 3)


def test_cells_are_tinted_and_outlined_and_background_is_left_grey(raw, cells):
    panel = overlay_panel(raw, cells, "xy")
    background = panel[250:330, 320:400]
    assert (background.max(axis=2) == background.min(axis=2)).all()
    colours = colours_of(cells.data[3], cells.data[:, 10])
    assert (panel[100, 278] == PALETTE[colours[7]]).all()
    assert (panel[100, 281] == PALETTE[colours[70000]]).all()


def test_neighbours_have_different_colours_in_a_tissue():
    rng = np.random.default_rng(1)
    seeds = rng.uniform(0, 100, (80, 2))
    grid = np.stack(np.meshgrid(np.arange(100), np.arange(100), indexing="ij"), axis=-1)
    plane = (((grid[:, :, None] - seeds) ** 2).sum(-1).argmin(-1) + 1).astype(np.uint32)
    colours = colours_of(plane)
    for first, second in ((plane[:-1], plane[1:]), (plane[:, :-1], plane[:, 1:])):
        for one, other in set(zip(first[first != second].tolist(), second[first != second].tolist(), strict=True)):
            assert colours[one] != colours[other]


def test_outlines_lie_inside_each_cell():
    plane = np.repeat([1, 2], 5)[None].repeat(4, axis=0)
    assert outlines(plane)[0].tolist() == [False] * 3 + [True] * 4 + [False] * 3


@pytest.mark.parametrize("value", [0.0, 3.5, np.float32(1e30)])
def test_constant_images_are_drawn(value):
    assert grey_levels(np.full((3, 4), value)).tolist() == [[0] * 4] * 3


def test_odd_volumes_are_drawn(raw, cells):
    channels = raw.replace(data=np.stack([raw.data, raw.data]))
    layered = Volume(np.stack([cells.data, np.zeros_like(cells.data)]), Kind.LAYERED_LABELS, cells.voxel_size_um)
    smaller = raw.replace(data=raw.data[::2, ::2, ::2])
    empty = cells.replace(data=np.zeros_like(cells.data))
    tiny = (raw.replace(data=raw.data[:1, :1, :1]), cells.replace(data=cells.data[:1, :1, :1]))
    for image, labels in ((channels, layered), (smaller, cells), (raw, empty), tiny):
        assert overlay_picture(image, labels).ndim == 3


class Collector(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(f"{tag}.{name}", value or "") for name, value in attrs]
        if tag not in ("meta", "img", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "img", "line"):
            assert self.open.pop() == tag


def test_the_report_is_one_whole_file(raw, cells, workflow, tmp_path):
    scores = evaluate_labels(cells.data, cells.data)
    report = Report(
        title="a <b> & c.tif",
        raw=raw,
        labels=cells,
        workflow=workflow,
        boundary=raw.replace(kind=Kind.BOUNDARY),
        timings=(NodeTiming("first", "Add", 1.25, False), NodeTiming("cells", "Label", 0.0, True)),
        scores=scores,
    )
    write_report(tmp_path / "report.html", report)
    write_overlay(tmp_path / "overlay.png", report)
    assert (tmp_path / "overlay.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 2
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    parsed = Collector()
    parsed.feed(html)
    assert parsed.open == []
    sources = [value for name, value in parsed.attributes if name in ("img.src", "link.href", "script.src", "a.href")]
    assert len(sources) == 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert all(value for name, value in parsed.attributes if name == "img.alt")
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    text = re.sub(r"<[^>]+>", " ", html)
    for wanted in ("a &lt;b&gt; &amp; c.tif", "Add", "What is added.", "1.2 s", "reused", "adapted Rand error"):
        assert wanted in text
    assert "prefers-color-scheme: dark" in html


def test_a_report_without_cells_scale_or_scores_is_written(raw, cells, workflow):
    empty = cells.replace(data=np.zeros_like(cells.data), voxel_size_um=None)
    assert "No cell was found" in report_html(Report("empty", raw, empty, workflow))
    assert "voxels" in report_html(Report("no scale", raw, cells.replace(voxel_size_um=None), workflow))


def test_sizes_count_each_label_once(cells):
    assert sorted(cell_sizes(cells.data).tolist()) == [6 * 10 * 15] * 3

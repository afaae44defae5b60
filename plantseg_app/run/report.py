"""A page that shows what came out of one image and how: pictures, sizes, settings, scores, times. One HTML file.

Everything is inside the file, so that it can be sent by mail and opened in ten years. Knows no window.

>>> nice_number(12345.678), nice_number(0.012345), nice_number(3)
('12346', '0.0123', '3')
"""

from __future__ import annotations

import base64
import dataclasses
import importlib.metadata
import os
import platform
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app import __version__
from plantseg_app.core.describe import describe_fields
from plantseg_app.core.quantities import human_seconds
from plantseg_app.core.volume import Volume
from plantseg_app.core.workflow import Node, Workflow
from plantseg_app.evaluate import Scores
from plantseg_app.run.events import NodeTiming
from plantseg_app.run.picture import (
    Cut,
    Rgb,
    available_cuts,
    grey_panel,
    overlay_panel,
    overlay_picture,
    png_bytes,
)
from plantseg_app.run.report_style import STYLE

_PACKAGES = ("numpy", "scipy", "scikit-image", "bioimage-cpp", "torch")


@dataclasses.dataclass(frozen=True)
class Report:
    """What a report shows.

    Attributes
    ----------
    title
        The heading, usually the name of the image.
    raw
        The image.
    labels
        The cells.
    workflow
        What made them.
    boundary
        The boundary map on the way, if there is one.
    timings
        Seconds by node.
    scores
        Agreement with a reference, if one was given.
    """

    title: str
    raw: Volume
    labels: Volume
    workflow: Workflow
    boundary: Volume | None = None
    timings: tuple[NodeTiming, ...] = ()
    scores: Scores | None = None


def write_overlay(path: Path, report: Report) -> None:
    """Write the picture of the image beside its cells as PNG, whole or not at all."""
    write_whole(path, png_bytes(overlay_picture(report.raw, report.labels)))


def write_report(path: Path, report: Report) -> None:
    """Write the report as one HTML file, whole or not at all."""
    write_whole(path, report_html(report).encode("utf-8"))


def report_html(report: Report) -> str:
    """Return the report as HTML that needs no other file."""
    sizes = cell_sizes(report.labels.data)
    sections = [
        section("Cells", _pictures(report)),
        section("Sizes", _size_section(sizes, report.labels)),
        section("Agreement with the reference", _scores_table(report.scores)) if report.scores else "",
        section("How it was made", workflow_settings(report.workflow)),
        section("Time", _times(report.timings)) if report.timings else "",
        section("Versions", versions()),
    ]
    return page_html(report.title, _summary(report, sizes), sections)


def page_html(title: str, facts: Iterable[tuple[str, str]], sections: Iterable[str]) -> str:
    """Return a whole page: a heading, a row of facts (name and value), and sections of HTML."""
    heading = escape(title)
    items = "".join(f"<div><dd>{escape(value)}</dd><dt>{escape(name)}</dt></div>" for name, value in facts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{heading} \u2013 PlantSeg App</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{heading}</h1><dl>{items}</dl></header>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def cell_sizes(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Return the number of voxels of each label but 0.

    >>> cell_sizes(np.array([0, 3, 3, 70000])).tolist()
    [2, 1]
    """
    values, counts = np.unique(labels, return_counts=True)
    return counts[values > 0].astype(np.int64)


def nice_number(value: float, digits: int = 3) -> str:
    """Return a number with so many digits that matter, and no power of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def section(heading: str, body: str) -> str:
    """Return a part of a page under a heading."""
    return f"<section><h2>{escape(heading)}</h2>\n{body}</section>"


def _summary(report: Report, sizes: NDArray[np.int64]) -> list[tuple[str, str]]:
    shape = " \u00d7 ".join(str(length) for length in report.raw.shape_vox)
    scale = report.labels.voxel_size_um
    voxel = " \u00d7 ".join(f"{length:.4g}" for length in scale) + " \u00b5m" if scale else "unknown"
    facts = [("cells", str(len(sizes))), ("voxels (Z, Y, X)", shape), ("voxel size", voxel)]
    if report.timings:
        facts.append(("time", human_seconds(sum(timing.seconds for timing in report.timings))))
    if report.scores is not None:
        facts.append(("adapted Rand error", f"{report.scores.adapted_rand_error:.3f}"))
    return facts


def _pictures(report: Report) -> str:
    cuts = available_cuts(report.labels)
    names: dict[Cut, str] = {"xy": "middle slice", "xz": "cut in depth (X across, Z down)"}
    figures = []
    for cut in cuts:
        panels = [("Image", grey_panel(report.raw, report.labels, cut))]
        if report.boundary is not None:
            panels.append(("Boundary map", grey_panel(report.boundary, report.labels, cut)))
        panels.append(("Cells", overlay_panel(report.raw, report.labels, cut)))
        figures += [_figure(picture, f"{what}, {names[cut]}") for what, picture in panels]
    columns = len(figures) // len(cuts)
    return f'<div class="panels" style="--columns: {columns}">{"".join(figures)}</div>'


def _figure(picture: Rgb, caption: str) -> str:
    encoded = base64.b64encode(png_bytes(picture)).decode("ascii")
    height, width = picture.shape[:2]
    text = escape(caption)
    return (
        f'<figure><img src="data:image/png;base64,{encoded}" width="{width}" height="{height}" alt="{text}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _size_section(sizes: NDArray[np.int64], labels: Volume) -> str:
    if len(sizes) == 0:
        return "<p>No cell was found.</p>"
    values, unit = _in_units(sizes, labels)
    low, middle, high = (nice_number(float(value)) for value in np.percentile(values, (10, 50, 90)))
    text = f"Half of the cells are smaller than {middle} {unit}; one in ten is below {low}, one in ten above {high}."
    return f"<p>{escape(text)}</p>{_histogram(values, unit)}"


def _in_units(sizes: NDArray[np.int64], labels: Volume) -> tuple[NDArray[np.floating[Any]], str]:
    scale = labels.voxel_size_um
    if scale is None:
        return sizes.astype(np.float64), "pixels" if labels.is_2d else "voxels"
    if labels.is_2d:
        return sizes * np.float64(scale.y * scale.x), "\u00b5m\u00b2"
    return sizes * np.float64(scale.z * scale.y * scale.x), "\u00b5m\u00b3"


def _histogram(values: NDArray[np.floating[Any]], unit: str) -> str:
    """Return the distribution on a logarithmic axis as SVG; cells of one tissue differ by factors, not by amounts."""
    low, high = float(values.min()), float(values.max())
    if high < low * 1.01:
        low, high = low / 2, high * 2
    n_bins = int(np.clip(round(2 * np.sqrt(len(values))), 6, 30))
    edges = np.geomspace(low, high, n_bins + 1)
    edges[0], edges[-1] = low * (1 - 1e-9), high * (1 + 1e-9)
    counts, _ = np.histogram(values, edges)
    width, height, left, bottom = 640, 220, 44, 40
    step = (width - left - 10) / n_bins
    tallest = int(counts.max())
    bars = []
    for index, count in enumerate(counts.tolist()):
        tall = (height - bottom - 14) * count / tallest
        tip = f"{count} cells of {nice_number(edges[index])} to {nice_number(edges[index + 1])} {unit}"
        bars.append(
            f'<rect class="bar" x="{left + index * step + 1:.1f}" y="{height - bottom - tall:.1f}" '
            f'width="{step - 2:.1f}" height="{tall:.1f}"><title>{escape(tip)}</title></rect>'
        )
    ticks = [
        f'<text x="{left + step * index:.1f}" y="{height - bottom + 16}" '
        f'text-anchor="{"end" if index == n_bins else "middle"}">'
        f"{nice_number(edges[index])}</text>"
        for index in np.unique(np.linspace(0, n_bins, 6).round().astype(int)).tolist()
    ]
    base = height - bottom
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Distribution of cell sizes">'
        f'<line x1="{left}" y1="{base}" x2="{width - 10}" y2="{base}"/>'
        f'<text x="{left - 6}" y="20" text-anchor="end">{tallest}</text>'
        f'<text x="{left - 6}" y="{base}" text-anchor="end">0</text>'
        + "".join(bars + ticks)
        + f'<text x="{(left + width - 10) / 2:.0f}" y="{height - 6}" text-anchor="middle">size of a cell '
        f"({escape(unit)}, logarithmic); height: number of cells</text></svg>"
    )


def _scores_table(scores: Scores) -> str:
    rows = [
        ("adapted Rand error", scores.adapted_rand_error, "0 is best"),
        ("VOI split", scores.voi_split, "0 is best; cells cut apart, bits"),
        ("VOI merge", scores.voi_merge, "0 is best; cells run together, bits"),
        ("SEG", scores.seg, "1 is best"),
        ("symmetric best Dice", scores.sbd, "1 is best"),
        ("aggregated Jaccard", scores.aji, "1 is best"),
        ("mean average precision", scores.mean_ap, "1 is best"),
        ("cells found", scores.n_segmented, f"{scores.n_reference} in the reference"),
    ]
    return table(("score", "value", ""), [(name, nice_number(value, 4), meaning) for name, value, meaning in rows])


def workflow_settings(workflow: Workflow) -> str:
    """Return what each step of a workflow does, with its settings, as HTML."""
    parts = [f"<p>{escape(workflow.title or workflow.name)}. {escape(workflow.description)}</p>"]
    parts += [_node_settings(name, workflow.nodes[name]) for name in workflow.order()]
    parts.append(
        "<details><summary>The workflow as a file, to run it again</summary>"
        f"<pre>{escape(workflow.to_yaml())}</pre></details>"
    )
    return "".join(parts)


def _node_settings(name: str, node: Node) -> str:
    values = node.step.settings()
    reads = ", ".join(f"{port}: {source}" for port, source in node.inputs.items())
    heading = f"<h3>{escape(node.step.title)} <small>{escape(name)} \u2190 {escape(reads)}</small></h3>"
    rows = []
    for field in describe_fields(type(node.step)):
        changed = "" if values[field.name] == field.default or field.required else f"default {_plain(field.default)}"
        shown = f"{_plain(values[field.name])} {field.unit}".strip()
        rows.append((field.title, shown, f"{field.help} {changed}".strip()))
    return heading + (table(("setting", "value", "meaning"), rows) if rows else "<p>No settings.</p>")


def _plain(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(part) for part in value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _times(timings: Sequence[NodeTiming]) -> str:
    rows = [
        (timing.title, timing.node, "reused" if timing.reused else human_seconds(timing.seconds)) for timing in timings
    ]
    return table(("step", "node", "time"), rows)


def versions() -> str:
    """Return the programs that took part, as an HTML table."""
    rows = [("PlantSeg App", __version__), ("Python", platform.python_version()), ("system", platform.platform())]
    for package in _PACKAGES:
        try:
            rows.append((package, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            continue
    return table(("program", "version"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table of text."""
    header = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>'


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there as a whole or as it was before."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

"""One page for a whole batch: a small picture of each result, so that a bad one is seen at a glance."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

from plantseg_app.core.quantities import human_seconds
from plantseg_app.errors import PlantSegError
from plantseg_app.run.jobs import JobResult, JobSettings, load_sources
from plantseg_app.run.picture import Rgb, overlay_panel
from plantseg_app.run.report import page_html, section, versions, workflow_settings, write_whole

_SIDE_PX = 320


def write_batch_report(path: Path, settings: JobSettings, results: Sequence[JobResult]) -> None:
    """Write the page as one HTML file; results are read again from their files, one at a time.

    Parameters
    ----------
    path
        The page; its folder is made if needed.
    settings
        What the batch was.
    results
        What became of each file.
    """
    workflow = settings.bound_workflow()
    done = [result for result in results if result.status != "failed"]
    cells = sum(result.n_cells or 0 for result in done)
    facts = [("files done", f"{len(done)} of {len(results)}"), ("cells", str(cells))]
    seconds = [result.seconds for result in results if result.seconds is not None]
    if seconds:
        facts.append(("time", human_seconds(sum(seconds))))
    # Failures first: they are what a person must act on.
    ordered = sorted(results, key=lambda result: result.status != "failed")
    body = "".join(_file(result, settings) for result in ordered)
    sections = [
        section("Files", f'<div class="files">{body}</div>'),
        section("How they were made", workflow_settings(workflow)),
        section("Versions", versions()),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page_html(workflow.title or workflow.name, facts, sections).encode("utf-8"))


def _file(result: JobResult, settings: JobSettings) -> str:
    name = escape(result.input.name)
    if result.status == "failed":
        return f'<div class="failed"><b>{name}</b>{escape(result.error)}</div>'
    numbers = "" if result.n_cells is None else f"{result.n_cells} cells"
    try:
        picture = _picture(result, settings)
    except (PlantSegError, OSError) as error:
        return f"<div><b>{name}</b>{numbers}; no picture: {escape(str(error))}</div>"
    return f"<figure>{picture}<figcaption><b>{name}</b>{numbers}</figcaption></figure>"


def _picture(result: JobResult, settings: JobSettings) -> str:
    from plantseg_app.io import read_volume

    workflow = settings.bound_workflow()
    kind = workflow.kinds()[workflow.outputs[0]]
    if not kind.is_labels:
        return ""
    image = load_sources(result.input, settings, workflow)[settings.source]
    small = _jpeg(overlay_panel(image, read_volume(result.output, kind=kind), "xy"))
    text = escape(f"Cells of {result.input.name}, middle slice")
    return f'<img src="data:image/jpeg;base64,{base64.b64encode(small).decode("ascii")}" alt="{text}">'


def _jpeg(picture: Rgb) -> bytes:
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=88)
    return buffer.getvalue()

"""Source code in packages: shown to a person, and run only after that, once, in a process of its own.

What comes out is a graph without any source code, which is then treated like any other graph of others: looked through,
proved on the test image, and run by its runtime. Nothing is run when the model is used later.
"""

from __future__ import annotations

import dataclasses
import hashlib
import multiprocessing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plantseg_app.errors import InputError
from plantseg_app.zoo.bioimageio.package import Package
from plantseg_app.zoo.questions import SourceFile

_LARGEST_SOURCE_BYTES = 2**20
_LONGEST_S = 600.0


def offered_source(package: Package) -> SourceFile | None:
    """Return the source code that builds the network of a state dict, if the package has both.

    Raises
    ------
    InputError
        If the description leads out of the package.
    """
    described = package.model.weights.pytorch_state_dict
    source = getattr(getattr(described, "architecture", None), "source", None)
    if source is None or package.find(described.source) is None:
        return None
    path = package.find(source)
    if path is None or path.suffix != ".py" or path.stat().st_size > _LARGEST_SOURCE_BYTES:
        return None
    content = path.read_bytes()
    try:
        return SourceFile(path.name, content.decode("utf-8"), hashlib.sha256(content).hexdigest())
    except UnicodeDecodeError:
        # What cannot be read cannot be agreed to.
        return None


def graph_from_source(
    source: SourceFile,
    architecture: Any,
    weights: Path,
    layout: Mapping[str, Any],
    image: NDArray[np.float32],
    made: Path,
) -> None:
    """Run source code once and write the TorchScript that it draws of an image to `made`.

    Parameters
    ----------
    source
        What the person has read; exactly this is run.
    architecture
        What the description says of it: ``callable`` and ``kwargs``.
    weights
        The state dict.
    layout
        Plain settings of `GraphLayout`, the runtime excepted.
    image
        (C, Z, Y, X), prepared.
    made
        The file to write.

    Raises
    ------
    InputError
        If it fails, or takes longer than ten minutes.
    """
    context = multiprocessing.get_context("spawn")
    news = context.SimpleQueue()
    drawing = _Drawing(source, str(architecture.callable), dict(architecture.kwargs), weights, image, dict(layout))
    process = context.Process(target=_draw, args=(drawing, made, news), daemon=True)
    process.start()
    process.join(_LONGEST_S)
    if process.is_alive():
        process.kill()
        process.join()
        raise InputError(f"The source code {source.name} took longer than {_LONGEST_S:.0f} s and was stopped.")
    failure = "it ended without a word" if news.empty() else str(news.get())
    if failure or not made.is_file():
        raise InputError(f"The source code {source.name} does not build the network: {failure}")


@dataclasses.dataclass(frozen=True, eq=False)
class _Drawing:
    """What the child process needs."""

    source: SourceFile
    name: str
    kwargs: dict[str, Any]
    weights: Path
    image: NDArray[np.float32]
    layout: dict[str, Any]


def _draw(drawing: _Drawing, made: Path, news: Any) -> None:
    """Build the network in the child process, and trace it."""
    import warnings

    import torch

    from plantseg_app.networks.graph.layout import GraphLayout
    from plantseg_app.networks.graph.network import to_axes
    from plantseg_app.networks.weights import read_weights

    try:
        warnings.simplefilter("ignore")
        described = GraphLayout.model_validate({**drawing.layout, "runtime": "torchscript"})
        namespace: dict[str, Any] = {"__name__": "architecture", "__file__": drawing.source.name}
        exec(compile(drawing.source.text, drawing.source.name, "exec"), namespace)  # noqa: S102 - agreed to
        network = namespace[drawing.name](**drawing.kwargs)
        network.load_state_dict(read_weights(drawing.weights))
        network.eval()
        image = torch.from_numpy(drawing.image)
        sample = image[:, 0][None] if described.is_2d else image[None]
        given, first = [], 0
        for tensor in described.inputs:
            part = sample[:, first : first + tensor.n_channels]
            first += tensor.n_channels
            given.append(to_axes(part, tensor, is_2d=described.is_2d))
        with torch.no_grad():
            drawn = torch.jit.trace(network, tuple(given), check_trace=False)  # type: ignore[no-untyped-call]
            drawn.save(str(made))
    except Exception as error:  # noqa: BLE001 - whatever the code of others raises is told
        news.put(f"{type(error).__name__}: {error}"[:500])
    else:
        news.put("")

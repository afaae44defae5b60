"""From a package of BioImage.IO to a model folder: by the safest of the ways that the package allows, and proved.

In this order: as a model of this program, where the package was written by it; as a U-Net that this program knows, from
the tensors of a state dict; as a graph, TorchScript or ONNX, run by its runtime; and, if a person has read the source
code that came with it and agrees, as a graph made by running that code once. The first way that makes of the test image
what the package promises is taken; when none does, the reasons are told.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from plantseg_app.core.step import readable_errors
from plantseg_app.errors import InputError, RequestError, ResourceError
from plantseg_app.networks.pytorch3dunet import NETWORKS, network_settings
from plantseg_app.zoo.bioimageio.meanings import Meaning, facts_about, guess_meanings, name_outputs, words_about
from plantseg_app.zoo.bioimageio.own import convert_own, is_own
from plantseg_app.zoo.bioimageio.package import Package, opened
from plantseg_app.zoo.bioimageio.pages import draw_cover
from plantseg_app.zoo.bioimageio.source_code import graph_from_source, offered_source
from plantseg_app.zoo.bioimageio.tensors import DescribedTensors, describe_tensors, test_images
from plantseg_app.zoo.card import Normalisation
from plantseg_app.zoo.converted import WEIGHTS_FILE, facts_of, write_card
from plantseg_app.zoo.offers import Offer
from plantseg_app.zoo.preparing import prepare
from plantseg_app.zoo.questions import NO_ANSWERS, Answers, SourceFile, SourceQuestion
from plantseg_app.zoo.trial import compare, predict_whole, write_trial

if TYPE_CHECKING:
    from plantseg_app.networks.family import NetworkFamily

_GRAPHS = {"torchscript": "graph.pt", "onnx": "graph.onnx"}
_LIBRARIES = ("pytorch3dunet", "plantseg", "panseg", "plantseg_app")
_PICTURES = (".png", ".jpg", ".jpeg")
_LARGEST_PICTURE_BYTES = 10 * 2**20
_LARGEST_PAGE_BYTES = 2**20

Images = tuple[NDArray[np.float32], NDArray[np.float32]]


def convert_bioimageio(source: Path, target: Path, offer: Offer | None = None, answers: Answers = NO_ANSWERS) -> None:
    """Make a model in the empty folder `target` of a zip archive, a folder, or a description with its files beside it.

    Raises
    ------
    InputError
        If the package is damaged, out to do harm, does what this program cannot do, or does not keep its promise.
    SourceQuestion
        If it could be added only by running source code that came with it.
    ResourceError
        If the package that runs its graph is missing.
    """
    with opened(source, target.parent) as package:
        if is_own(package):
            convert_own(package, target)
            return
        tensors = describe_tensors(package.model)
        job = _Job(package, tensors, target, _meanings(package, tensors, offer, answers), offer)
        _by_the_first_way(job, answers)


class _Job:
    """One package on its way."""

    def __init__(
        self, package: Package, tensors: DescribedTensors, target: Path, meanings: list[Meaning], offer: Offer | None
    ) -> None:
        self.package, self.tensors, self.target, self.meanings = package, tensors, target, meanings
        self.images = test_images(package, tensors)
        self.facts = facts_about(package.model, tensors) | (facts_of(offer) if offer is not None else {})
        try:
            operations = tensors.preparation
            self.normalisation = Normalisation.model_validate(
                {"method": "operations", "operations": operations} if operations else {"method": "none"}
            )
        except ValidationError as error:
            raise InputError(readable_errors(error, "The preparation of the input", [])) from error

    def weights(self, name: str) -> Any:
        """Return the description of weights of a format, or None."""
        return getattr(self.package.model.weights, name)

    def weights_file(self, name: str) -> Path:
        """Return the checked file of weights of a format."""
        # The converters of the description from older versions lose checksums.
        plain = self.package.raw.get("weights", {}).get(name, {})
        described = self.weights(name)
        checksum = plain.get("sha256") if isinstance(plain, Mapping) else None
        return self.package.checked(described.source, checksum or described.sha256, f"The weights ({name})")

    def finish(self, family: NetworkFamily, weights: str, network: Any, how: str) -> None:
        """Prove the model on its test image, and write the rest of its folder.

        Raises
        ------
        InputError
            If it makes something else than promised.
        """
        if self.images is not None:
            image, expected = self.images
            trial = compare(predict_whole(network, family, image, self.normalisation), expected)
            if not trial.passed:
                raise InputError(f"it makes something else of the test image (by up to {trial.largest_difference:.2g})")
            write_trial(self.target, image, expected)
        picture = self._copy_pages()
        outputs = [{"name": name} for name, _ in self.meanings]
        facts = {"outputs": outputs, **self.facts, "training": f"By others; {how}.", "picture": picture}
        write_card(self.target, facts, family, self.normalisation, weights)

    def _copy_pages(self) -> str | None:
        """Copy what people read and see, or draw it of the test image; return the name of the picture."""
        model = self.package.model
        page = getattr(model.documentation, "source", model.documentation)
        found = self.package.find(page) if page is not None else None
        if found is not None and found.suffix == ".md" and found.stat().st_size <= _LARGEST_PAGE_BYTES:
            shutil.copyfile(found, self.target / "README.md")
        for cover in model.covers:
            path = self.package.find(getattr(cover, "source", cover))
            if path is not None and path.suffix.lower() in _PICTURES and path.stat().st_size <= _LARGEST_PICTURE_BYTES:
                name = f"picture{path.suffix.lower()}"
                shutil.copyfile(path, self.target / name)
                return name
        if self.images is None:
            return None
        draw_cover(*self.images, self.target / "picture.png")
        return "picture.png"


def _meanings(package: Package, tensors: DescribedTensors, offer: Offer | None, answers: Answers) -> list[Meaning]:
    """Return what each channel of the answer shows: as a person says, as the offer says, or as the words suggest."""
    said: Sequence[str] = answers.outputs
    if said and len(said) != len(tensors.channel_names):
        names = ", ".join(tensors.channel_names)
        raise RequestError(
            f"The model predicts {len(tensors.channel_names)} channel(s) ({names}); name each, not {len(said)}."
        )
    if not said and offer is not None and len(offer.outputs) == len(tensors.channel_names):
        said = [output.name for output in offer.outputs]
    return name_outputs(said) if said else guess_meanings(tensors.channel_names, words_about(package.model))


def _by_the_first_way(job: _Job, answers: Answers) -> None:
    reasons: list[str] = []
    missing: ResourceError | None = None
    ways: list[tuple[str, Callable[[], None]]] = []
    if job.weights("pytorch_state_dict") is not None:
        ways.append(("state dict", lambda: _known_network(job)))
    ways += [(name, lambda name=name: _graph(job, name)) for name in _GRAPHS if job.weights(name) is not None]  # type: ignore[misc]
    for name, way in ways:
        try:
            way()
        except InputError as error:
            reasons.append(f"{name}: {str(error).rstrip('.')}")
        except ResourceError as error:
            missing = error
        else:
            return
        for left in job.target.iterdir():
            left.unlink()
    source = offered_source(job.package)
    if source is not None and job.images is not None and source.sha256 == answers.confirmed_source:
        _graph_of_source(job, source, job.images[0])
        return
    if missing is not None:
        raise missing
    told = (
        "; ".join(reasons)
        or f"its weights are of formats that this program does not run ({_formats(job.package.model)})"
    )
    if source is not None and job.images is not None:
        raise SourceQuestion(
            f"{job.package.model.name} cannot be added without running source code that came with it, {source.name} "
            f"(sha256 {source.sha256}). Read it first; then add the model with --run-source {source.sha256}. "
            f"Other ways: {told}.",
            source,
        )
    raise InputError(f"{job.package.model.name} cannot be used: {told}.")


def _formats(model: Any) -> str:
    return ", ".join(name for name, entry in model.weights if entry is not None)


def _known_network(job: _Job) -> None:
    """Make the model of the tensors of a state dict, where its architecture is one of ours under its usual name."""
    from plantseg_app.networks.boundary.family import Meaning as BoundaryMeaning
    from plantseg_app.networks.boundary.rebuild import rebuild
    from plantseg_app.networks.weights import guess_architecture, read_weights, save_weights

    architecture = job.weights("pytorch_state_dict").architecture
    name, library = str(architecture.callable), getattr(architecture, "import_from", None)
    if name not in NETWORKS or (library is not None and str(library).split(".")[0] not in _LIBRARIES):
        raise InputError(f"the architecture {name} is not among those that this program has")
    if library is None and job.images is None:
        raise InputError(
            f"the architecture {name} is source code, and there is no test image to prove that it is known"
        )
    if job.tensors.operations:
        raise InputError("the answer of the network is processed further")
    if len(job.tensors.layout["inputs"]) > 1 or len(job.tensors.layout["outputs"]) > 1:
        raise InputError("the network has several inputs or outputs")
    path = job.weights_file("pytorch_state_dict")
    weights = read_weights(path)
    guess = guess_architecture(weights)
    usual = {"f_maps": list(guess.feature_maps), "in_channels": guess.in_channels, "out_channels": guess.out_channels}
    found = network_settings({**usual, "name": name, **dict(architecture.kwargs)})
    words = [word for word, _ in job.meanings]
    if (
        found.unknown
        or len(words) != guess.out_channels
        or any(word not in get_args(BoundaryMeaning) for word in words)
    ):
        unknown = ", ".join(found.unknown) or f"outputs {', '.join(words)}"
        raise InputError(f"the architecture {name} has what this program does not know ({unknown})")
    family, network = rebuild({**found.settings, "predicts": words}, weights, "The architecture", path.name)
    save_weights(network, job.target / WEIGHTS_FILE)
    job.finish(family, WEIGHTS_FILE, network, "the weights of a BioImage.IO package in a network of this program")


def _graph(job: _Job, runtime: str) -> None:
    """Make the model of a graph that is run by its own runtime."""
    path = job.weights_file(runtime)
    if runtime == "onnx" and getattr(job.weights("onnx"), "external_data", None) is not None:
        raise InputError("its numbers lie in a second file, which is not read")
    _graph_file(job, path, runtime, f"a BioImage.IO package that runs its own graph ({runtime})")


def _graph_file(job: _Job, path: Path, runtime: str, how: str) -> None:
    from plantseg_app.networks.graph.family import GraphFamily, measured

    try:
        family = GraphFamily.model_validate(
            {
                "layout": {**job.tensors.layout, "runtime": runtime},
                "maps": [{"name": name, "kind": kind} for name, kind in job.meanings],
                "operations": job.tensors.operations,
                "halo_vox": job.tensors.halo_vox,
            }
        )
    except ValidationError as error:
        raise InputError(readable_errors(error, "the description of its tensors", [])) from error
    weights = _GRAPHS[runtime]
    shutil.copyfile(path, job.target / weights)
    network = family.load(job.target / weights)
    job.finish(measured(family, network), weights, network, how)


def _graph_of_source(job: _Job, source: SourceFile, image: NDArray[np.float32]) -> None:
    """Run the source code that a person has read, once and in a process of its own; keep the graph that it draws."""
    made = job.target.parent / f".{job.target.name}.traced.pt"
    try:
        architecture, weights = job.weights("pytorch_state_dict").architecture, job.weights_file("pytorch_state_dict")
        prepared = prepare(image, job.normalisation)
        graph_from_source(source, architecture, weights, job.tensors.layout, prepared, made)
        _graph_file(job, made, "torchscript", "its source code was run once to draw the graph that is run")
    finally:
        made.unlink(missing_ok=True)

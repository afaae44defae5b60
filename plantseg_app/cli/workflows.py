"""Which workflow a command runs: a ready-made one by name, a file, or the one that made an earlier result.

>>> parse_assignment("cells.beta=0.5")
('cells', 'beta', 0.5)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plantseg_app.errors import RequestError, did_you_mean

if TYPE_CHECKING:
    from plantseg_app.core.workflow import Workflow

DEFAULT_WORKFLOW = "membranes-gasp"


def find_workflow(name_or_file: str) -> Workflow:
    """Return a workflow by its ready-made name, from a YAML file, or as recorded in a result.

    Raises
    ------
    RequestError
        If there is none, with the nearest name.
    """
    import plantseg_app.steps  # noqa: F401 - importing fills the registry
    from plantseg_app import paths
    from plantseg_app.core.workflow import Workflow

    path = Path(name_or_file)
    if path.is_file():
        return _from_file(path)
    folder = paths.workflows_dir()
    names = [entry.stem for entry in folder.glob("*.yaml")]
    if name_or_file in names:
        return Workflow.from_yaml((folder / f"{name_or_file}.yaml").read_text(encoding="utf-8"))
    if path.suffix:
        raise RequestError(f"There is no workflow file {path}.")
    raise RequestError(f'There is no workflow "{name_or_file}". {did_you_mean(name_or_file, names)}')


def _from_file(path: Path) -> Workflow:
    from plantseg_app.core.workflow import Workflow
    from plantseg_app.io import read_workflow

    if path.suffix.lower() in (".yaml", ".yml"):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RequestError(f"The workflow {path} is no text file; give YAML in UTF-8.") from error
    else:
        recorded = read_workflow(path)
        if recorded is None:
            raise RequestError(f"{path} does not hold the workflow that made it; give a YAML file.")
        text = recorded
    try:
        return Workflow.from_yaml(text)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error


def with_settings(workflow: Workflow, assignments: Iterable[str]) -> Workflow:
    """Return the workflow with ``NODE.FIELD=VALUE`` assignments made, all of one node at once.

    Raises
    ------
    RequestError
        If a node or setting is unknown, or a value is out of range.
    """
    changes: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        node, field, value = parse_assignment(assignment)
        changes.setdefault(_node_named(workflow, node), {})[field] = value
    for node, settings in changes.items():
        workflow = workflow.replace(node, **settings)
    return workflow


def _node_named(workflow: Workflow, name: str) -> str:
    """Return the node called `name`, or the only one that runs the step `name`."""
    if name in workflow.nodes:
        return name
    running = [node for node, content in workflow.nodes.items() if content.step.id == name]
    return running[0] if len(running) == 1 else name


def parse_assignment(text: str) -> tuple[str, str, Any]:
    """Split ``NODE.FIELD=VALUE``; the value is read as YAML, so that 0.5, true and null mean what they say."""
    import yaml

    place, equals, value = text.partition("=")
    node, dot, field = place.strip().rpartition(".")
    if not equals or not dot or not node or not field:
        raise RequestError(f'--set takes NODE.FIELD=VALUE, for example gasp.beta=0.5; "{text}" was given.')
    try:
        return node, field.replace("-", "_"), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RequestError(f'--set {place}: the value "{value}" is not readable.') from error


def with_model(workflow: Workflow, model: str) -> Workflow:
    """Return the workflow in which all networks are replaced by `model`.

    Raises
    ------
    RequestError
        If no step of the workflow uses a model.
    """
    nodes = [name for name, node in workflow.nodes.items() if "model" in type(node.step).model_fields]
    if not nodes:
        raise RequestError(f"No step of the workflow {workflow.name} uses a model; leave --model out.")
    for name in nodes:
        workflow = workflow.replace(name, model=model)
    return workflow


def default_workflow(model: str | None) -> str:
    """Return the name of the workflow that suits a model: that of its network family."""
    if model is None:
        return DEFAULT_WORKFLOW
    from plantseg_app.zoo.catalogue import find_model

    return find_model(model).card.network_family().default_workflow


def prediction_workflow(settings: dict[str, Any]) -> Workflow:
    """Return the workflow of the single step predict with these settings."""
    import plantseg_app.steps  # noqa: F401 - importing fills the registry
    from plantseg_app.core.workflow import Workflow

    return Workflow.from_plain(
        {
            "workflow": 1,
            "name": "predict",
            "title": "Predict",
            "sources": {"image": "raw"},
            "nodes": {"prediction": {"step": "predict", "settings": settings, "inputs": {"image": "image"}}},
        }
    )

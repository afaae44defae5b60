"""Which workflow to run: a ready-made one by name, a file, or the one that made an earlier result; with what changed.

>>> changed = with_settings(find_workflow(DEFAULT_WORKFLOW), {"gasp": {"beta": 0.25}})
>>> changed.nodes["cells"].step.settings()["beta"]
0.25
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plantseg_app import paths
from plantseg_app.core.step import STEPS, Step
from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError, did_you_mean

DEFAULT_WORKFLOW = "membranes-gasp"


def bundled_workflows(kinds: set[Kind] | None = None) -> list[Workflow]:
    """Return the ready-made workflows by name; with `kinds`, those that need no more than one image of these kinds.

    Raises
    ------
    RequestError
        If one does not fit the steps of this program: a damaged installation.
    """
    workflows = [_from_text(path.read_text(encoding="utf-8")) for path in _bundled_files().values()]
    if kinds is None:
        return workflows
    return [workflow for workflow in workflows if _needs_one(workflow, kinds)]


def _bundled_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(paths.workflows_dir().glob("*.yaml"), key=lambda path: path.stem)}


def _needs_one(workflow: Workflow, kinds: set[Kind]) -> bool:
    needed = [source.kind for source in workflow.sources.values() if not source.optional]
    return len(needed) == 1 and needed[0] in kinds


def _from_text(text: str) -> Workflow:
    import plantseg_app.steps  # noqa: F401 - importing fills the registry

    return Workflow.from_yaml(text)


def find_workflow(name_or_file: str | Path) -> Workflow:
    """Return a workflow by its ready-made name, from a YAML file, or as recorded in a result.

    Its models need not be on this machine: `what_is_missing` says which to fetch before it can run.

    Raises
    ------
    RequestError
        If there is none, with the nearest name.
    """
    path = Path(name_or_file)
    if path.is_file():
        return _from_file(path)
    bundled = _bundled_files()
    if str(name_or_file) in bundled:
        return _from_text(bundled[str(name_or_file)].read_text(encoding="utf-8"))
    if path.suffix:
        raise RequestError(f"There is no workflow file {path}.")
    raise RequestError(f'There is no workflow "{name_or_file}". {did_you_mean(str(name_or_file), bundled)}')


def what_is_missing(workflow: Workflow) -> str:
    """Return which models a workflow needs that are not on this machine or damaged, in sentences; "" for none."""
    return " ".join(dict.fromkeys(str(problem) for problem in workflow.problems().values()))


def _from_file(path: Path) -> Workflow:
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
        return _from_text(text)
    except RequestError as error:
        raise RequestError(f"{path}: {error}") from error


def with_settings(workflow: Workflow, changes: Mapping[str, Mapping[str, Any]]) -> Workflow:
    """Return the workflow with other settings.

    Parameters
    ----------
    workflow
        The workflow; it stays as it is.
    changes
        Settings by node, those of a node made at once; the id of a step stands for the only node that runs it.

    Raises
    ------
    RequestError
        If a node or setting is unknown, or a value is out of range.
    """
    by_node: dict[str, dict[str, Any]] = {}
    for name, settings in changes.items():
        by_node.setdefault(_node_named(workflow, name), {}).update(settings)
    for node, settings in by_node.items():
        workflow = workflow.replace(node, **settings)
    return workflow


def _node_named(workflow: Workflow, name: str) -> str:
    """Return the node called `name`, or the only one that runs the step `name`."""
    if name in workflow.nodes:
        return name
    running = [node for node, content in workflow.nodes.items() if content.step.id == name]
    return running[0] if len(running) == 1 else name


def with_model(workflow: Workflow, model: str) -> Workflow:
    """Return the workflow in which all networks are replaced by `model`.

    Raises
    ------
    RequestError
        If no step of the workflow uses a model.
    """
    nodes = [name for name, node in workflow.nodes.items() if "model" in type(node.step).model_fields]
    if not nodes:
        raise RequestError(f"No step of the workflow {workflow.name} uses a model; leave the model out.")
    for name in nodes:
        workflow = workflow.replace(name, model=model)
    return workflow


def workflow_with_model(workflow: Workflow, model: str) -> Workflow:
    """Return `workflow` working with `model`, or the ready-made one of the model's family where that does not fit.

    Raises
    ------
    RequestError
        If there is no such model.
    InputError
        If its card is damaged.
    """
    from plantseg_app.zoo.catalogue import find_model

    find_model(model)
    try:
        return with_model(workflow, model)
    except RequestError:
        return with_model(find_workflow(default_workflow(model)), model)


def default_workflow(model: str | None) -> str:
    """Return the name of the workflow that suits a model: the one that its card names, else that of its network family.

    Raises
    ------
    RequestError
        If there is no such model.
    """
    if model is None:
        return DEFAULT_WORKFLOW
    from plantseg_app.zoo.catalogue import find_model

    card = find_model(model).card
    return card.workflow or card.network_family().default_workflow


def step_workflow(step: Step, sources: Mapping[str, Kind], node: str = "result") -> Workflow:
    """Return the workflow of a single step, each of whose inputs is a source of the same name.

    Parameters
    ----------
    step
        The step.
    sources
        The kind of each image it is given, by the name of the input.
    node
        What the step, and so its result, is called.

    Raises
    ------
    RequestError
        If an input is missing or is given the wrong kind.
    """
    return Workflow.from_plain(
        {
            "workflow": 1,
            "name": step.id,
            "title": step.title,
            "sources": {name: kind.value for name, kind in sources.items()},
            "nodes": {node: {"step": step.id, "settings": step.settings(), "inputs": {name: name for name in sources}}},
        }
    )


def prediction_workflow(settings: Mapping[str, Any]) -> Workflow:
    """Return the workflow of the single step predict with these settings.

    Raises
    ------
    RequestError
        If a setting is unknown or out of range.
    """
    import plantseg_app.steps  # noqa: F401 - importing fills the registry

    step = STEPS.get("predict").from_settings(dict(settings))
    return step_workflow(step, {"image": Kind.RAW}, "prediction")

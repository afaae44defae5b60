"""The ready-made workflows that ship with the program.

>>> all(workflow.sources for workflow in bundled_workflows())
True
"""

from __future__ import annotations

from plantseg_app import paths
from plantseg_app.core.volume import Kind
from plantseg_app.core.workflow import Workflow


def bundled_workflows(kinds: set[Kind] | None = None) -> list[Workflow]:
    """Return the ready-made workflows by name; with `kinds`, those that need no more than one image of these kinds.

    Raises
    ------
    RequestError
        If one does not fit the steps of this program: a damaged installation.
    """
    import plantseg_app.steps  # noqa: F401 - importing fills the registry

    files = sorted(paths.workflows_dir().glob("*.yaml"))
    workflows = [Workflow.from_yaml(file.read_text(encoding="utf-8")) for file in files]
    if kinds is None:
        return workflows
    return [workflow for workflow in workflows if _needs_one(workflow, kinds)]


def _needs_one(workflow: Workflow, kinds: set[Kind]) -> bool:
    needed = [source.kind for source in workflow.sources.values() if not source.optional]
    return len(needed) == 1 and needed[0] in kinds

"""Steps of a workflow as cards, one below the other, that can be opened, changed, moved, removed and added to.

Titles, help and settings come from the steps; what an edit does to the workflow is decided in
`plantseg_app.run.workflow_edit`.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Callable, Collection, Sequence
from typing import Literal

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QMenu, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from plantseg_app.core.describe import describe_step
from plantseg_app.core.step import Step
from plantseg_app.core.workflow import Workflow
from plantseg_app.errors import RequestError
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.widgets import button, sentence
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.workflow_edit import add_to_group, move, remove, steps_in_group

Direction = Literal["up", "down"]


@dataclasses.dataclass(frozen=True)
class CardSource:
    """Which nodes are cards, and what can be added.

    Attributes
    ----------
    group
        The folder of steps from which one is added.
    nodes
        Returns the nodes that are cards, in their order.
    leave_out
        Ids of steps of the group that are not offered, because a page has a better tool for them.
    """

    group: str
    nodes: Callable[[Workflow], Sequence[str]]
    leave_out: Collection[str] = ()


class StepCards(QWidget):
    """The cards and the button that adds one."""

    def __init__(self, bench: Workbench, source: CardSource) -> None:
        super().__init__()
        self._document = bench.document
        self._warn = bench.warn
        self._source = source
        self._shown: list[tuple[str, str]] = []
        self.cards: dict[str, StepCard] = {}
        self.add_button = button("&Add a step", "Choose a step to put at the end of the list.")
        self.menu = QMenu(self)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.add_button.setMenu(self.menu)
        self.empty = sentence("No step: the image is used as it is.")
        self._column = QVBoxLayout()
        self._column.setContentsMargins(0, 0, 0, 0)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(self.empty)
        whole.addLayout(self._column)
        whole.addWidget(self.add_button, 0, Qt.AlignmentFlag.AlignLeft)

    def refresh(self) -> None:
        """Show the steps as they are in the workflow."""
        workflow = self._document.workflow
        names = list(self._source.nodes(workflow))
        shown = [(name, workflow.nodes[name].step.id) for name in names]
        if shown != self._shown:
            self._rebuild(names)
            self._shown = shown
        for name, card in self.cards.items():
            card.show_step(workflow.nodes[name].step)
        self.empty.setVisible(not names)
        self.add_button.setEnabled(bool(workflow.sources))

    def add(self, step_id: str) -> None:
        """Put a step at the end and open its card."""
        known = set(self._document.workflow.nodes)
        if self._edit(lambda workflow: add_to_group(workflow, step_id)):
            for name in self._document.workflow.nodes:
                if name not in known and name in self.cards:
                    self.cards[name].set_open(True)

    def _fill_menu(self) -> None:
        self.menu.clear()
        for step in sorted(steps_in_group(self._source.group), key=lambda step: step.title):
            if step.id in self._source.leave_out:
                continue
            action = self.menu.addAction(step.title.replace("&", "&&"))
            action.setToolTip(f"<p>{html.escape(describe_step(step).help)}</p>")
            action.triggered.connect(lambda _checked, step_id=step.id: self.add(step_id))

    def _rebuild(self, names: list[str]) -> None:
        opened = {name for name, card in self.cards.items() if card.is_open}
        for card in self.cards.values():
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = {}
        for place, name in enumerate(names):
            card = StepCard(self._document.workflow.nodes[name].step)
            card.set_open(name in opened)
            card.up_button.setEnabled(place > 0)
            card.down_button.setEnabled(place < len(names) - 1)
            card.changed.connect(lambda step, name=name: self._change(name, step))
            card.moved.connect(lambda direction, name=name: self._edit(lambda w: move(w, name, direction)))
            card.removed.connect(lambda name=name: self._edit(lambda w: remove(w, name)))
            self._column.addWidget(card)
            self.cards[name] = card

    def _change(self, name: str, step: Step) -> None:
        self._edit(lambda workflow: workflow.replace(name, **step.settings()))

    def _edit(self, edit: Callable[[Workflow], Workflow]) -> bool:
        try:
            changed = edit(self._document.workflow)
        except RequestError as error:
            self._warn(str(error))
            return False
        self._document.set_workflow(changed)
        self.refresh()
        return True


class StepCard(QFrame):
    """One step: its title, which opens its settings, and the buttons that move and remove it.

    Signals
    -------
    changed
        Carries the step with its new settings.
    moved
        Carries ``"up"`` or ``"down"``.
    removed
        The step is to go.
    """

    changed = Signal(object)
    moved = Signal(str)
    removed = Signal()

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setProperty("card", True)
        self._step = step
        self.form = StepForm(step)
        self.form.changed.connect(self._take)
        self.title_button = _TitleButton(step.title)
        self.title_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title_button.setProperty("role", "fold")
        self.title_button.setAutoRaise(True)
        self.title_button.setCheckable(True)
        self.title_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.title_button.setAccessibleName(f"Settings of {step.title}")
        self.title_button.setToolTip(f"<p>{html.escape(describe_step(type(step)).help)}</p><p>Click for settings.</p>")
        self.title_button.toggled.connect(self.set_open)
        self.up_button = self._tool("↑", f"Move {step.title} up", "Let this step work before the one above.")
        self.down_button = self._tool("↓", f"Move {step.title} down", "Let this step work after the one below.")
        self.remove_button = self._tool("✕", f"Remove {step.title}", "Take this step off the list.")
        self.up_button.clicked.connect(lambda: self.moved.emit("up"))
        self.down_button.clicked.connect(lambda: self.moved.emit("down"))
        self.remove_button.clicked.connect(self.removed)
        head = QHBoxLayout()
        head.setSpacing(1)
        head.addWidget(self.title_button, 1)
        for tool in (self.up_button, self.down_button, self.remove_button):
            head.addWidget(tool)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.addLayout(head)
        column.addWidget(self.form)
        self.set_open(False)

    @property
    def is_open(self) -> bool:
        """Whether the settings are shown."""
        return self.title_button.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Show or hide the settings."""
        self.title_button.setChecked(is_open)
        self.title_button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self.form.setVisible(is_open)

    def show_step(self, step: Step) -> None:
        """Show the settings of `step`, unless these are what the person has just typed."""
        if step != self._step:
            self._step = step
            self.form.set_step(step)

    def _take(self, step: Step) -> None:
        self._step = step
        self.changed.emit(step)

    def _tool(self, text: str, name: str, tip: str) -> QToolButton:
        made = QToolButton()
        made.setText(text)
        made.setAutoRaise(True)
        made.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        made.setAccessibleName(name)
        made.setToolTip(tip)
        return made


class _TitleButton(QToolButton):
    """Shortens its text where there is no room for it, instead of making the page wider."""

    _LEAST_WIDTH = 90

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title
        self.setText(title)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Return a width that leaves a few letters."""
        return QSize(self._LEAST_WIDTH, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt's name
        """Show as much of the title as fits beside the arrow."""
        super().resizeEvent(event)
        font = self.font()
        font.setBold(True)
        metrics = QFontMetrics(font)
        shown = metrics.elidedText(self._title, Qt.TextElideMode.ElideRight, self.width() - 2 * metrics.height())
        self.setText(shown.replace("&", "&&"))

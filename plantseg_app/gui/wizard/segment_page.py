"""Fourth page: from the map to cells, with one slider that matters and a preview that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QMenu, QVBoxLayout

from plantseg_app.core.describe import describe_fields
from plantseg_app.core.step import Step
from plantseg_app.errors import PlantSegError, RequestError
from plantseg_app.gui.comparison import ComparisonPanel
from plantseg_app.gui.embedding_panel import EmbeddingPanel
from plantseg_app.gui.forms.fold import Fold
from plantseg_app.gui.forms.step_form import StepForm
from plantseg_app.gui.partition_preview import PartitionPreviewer
from plantseg_app.gui.widgets import button, heading, keep_narrow, sentence
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.workbench import Workbench
from plantseg_app.run.workflow_edit import group_of, insert_after, nodes_in_group, remove, steps_in_group, swap

DECODING_GROUPS = ("partition", "cluster")
"""The groups of steps that make objects of a map."""

_PREVIEWS = ("Off", "The slice on the screen", "A block around it, as in the whole image")
_BLOCK = 2


class SegmentPage(Page):
    """Choose how the map becomes cells, try it on what is on the screen, and run it on everything."""

    title: ClassVar[str] = "Segment"
    hint: ClassVar[str] = "Cells are made from the map. Move the slider until the preview looks right, then run it."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self._shown: tuple[object, ...] = ()
        self.forms: list[tuple[str, StepForm[Step]]] = []
        self.method_box = QComboBox()
        self.method_box.setToolTip("How boundaries are closed and small pieces joined to cells.")
        self.method_box.setAccessibleName("Method")
        keep_narrow(self.method_box)
        self.method_box.activated.connect(self._choose_method)
        self.about_method = sentence()
        form = QFormLayout()
        form.addRow("&Method", self.method_box)
        self.column.addLayout(form)
        self.column.addWidget(self.about_method)
        self.main_place = QVBoxLayout()
        self.column.addLayout(self.main_place)
        self._build_preview()
        self.fold = Fold("Advanced")
        self.column.addWidget(self.fold)
        self.run_button = button("&Segment everything", "Run the workflow on the whole image (Ctrl+R).", main=True)
        self.run_button.clicked.connect(self.run)
        self.result_label = sentence()
        self.comparison = ComparisonPanel(bench)
        self.embedding = EmbeddingPanel(bench)
        for widget in (self.result_label, self.embedding, self.comparison):
            self.column.addWidget(widget)
        self.column.addStretch(1)
        self.footer.addWidget(self.run_button)

    def _build_preview(self) -> None:
        self.previewer = PartitionPreviewer(self.bench, self)
        self.preview_box = QComboBox()
        self.preview_box.setToolTip("What the settings make of the visible part of the image, shown as they change.")
        self.preview_box.setAccessibleName("Preview")
        keep_narrow(self.preview_box)
        for text in _PREVIEWS:
            self.preview_box.addItem(text)
        self.preview_box.currentIndexChanged.connect(self._switch_preview)
        form = QFormLayout()
        form.addRow("Pre&view", self.preview_box)
        self.preview_label = sentence()
        self.previewer.said.connect(self.preview_label.setText)
        self.column.addLayout(form)
        self.column.addWidget(self.preview_label)
        # The view moves in many small steps; only where it comes to rest counts.
        self._moved = QTimer(self)
        self._moved.setSingleShot(True)
        self._moved.setInterval(150)
        self._moved.timeout.connect(self._preview)
        self.bench.viewer.on_view_change(self._moved.start)

    # ------------------------------------------------------------------------------------------------ page

    @property
    def main_node(self) -> str | None:
        """The node that makes the cells."""
        nodes = [node for group in DECODING_GROUPS for node in nodes_in_group(self.document.workflow, group)]
        return nodes[-1] if nodes else None

    def leave(self) -> None:
        """Take the preview away; it belongs to this page."""
        self.previewer.clear()
        self.embedding.put_away()

    def toggle_likeness(self) -> None:
        """Show which pixels are like the one under the cursor, or no longer."""
        self.embedding.toggle()

    def enter(self) -> None:
        """Show the preview again, if it was on."""
        super().enter()
        self._preview()

    def refresh(self) -> None:
        """Show method, settings and result."""
        workflow = self.document.workflow
        shown = tuple((name, node.step.id) for name, node in workflow.nodes.items())
        if shown != self._shown:
            self._shown = shown
            self._list_methods()
            self._build_forms()
        else:
            for name, form in self.forms:
                form.set_step(workflow.nodes[name].step)
        self.run_button.setEnabled(bool(self.document.images) and not self.bench.runner.is_busy)
        cells = self.document.cells
        self.result_label.setText("" if cells is None else f"<b>{cells.cells_in_words}</b> in “{cells.name}”.")
        self.embedding.refresh()
        self.comparison.refresh()

    # ------------------------------------------------------------------------------------------------ methods

    def _list_methods(self) -> None:
        self.method_box.clear()
        node = self.main_node
        if node is None:
            self.about_method.setText("This workflow has no step that makes cells.")
            return
        now = self.document.workflow.nodes[node].step
        for step in steps_in_group(group_of(now)):
            if step.id == now.id or self._fits(node, step):
                self.method_box.addItem(step.title, step.id)
        self.method_box.setCurrentIndex(self.method_box.findData(now.id))
        self.about_method.setText((type(now).__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "))

    def _fits(self, node: str, step: type[Step]) -> bool:
        try:
            changed = swap(self.document.workflow, node, step.id)
        except RequestError:
            return False
        new = {name: source for name, source in changed.sources.items() if name not in self.document.workflow.sources}
        # A method that needs another image is offered when such an image is open.
        return all(source.optional or self._has_image_for(source.kind) for source in new.values())

    def _has_image_for(self, kind: object) -> bool:
        from plantseg_app.run.roles import ROLES

        return any(kind in ROLES[image.role].feeds for image in self.document.images.values())

    def _choose_method(self) -> None:
        node, step_id = self.main_node, self.method_box.currentData()
        if node is None or step_id is None:
            return
        try:
            self.document.set_workflow(swap(self.document.workflow, node, step_id))
        except RequestError as error:
            self.bench.warn(str(error))
        self._preview()

    # ------------------------------------------------------------------------------------------------ settings

    def _build_forms(self) -> None:
        _empty(self.main_place)
        _empty(self.fold.column)
        self.forms = []
        main = self.main_node
        if main is not None:
            step = self.document.workflow.nodes[main].step
            names = main_fields(type(step))
            self._add_form(main, step, self.main_place, names)
            self._add_form(main, step, self.fold.column, self._fields(step, names), title=step.title)
        for name in self._other_nodes():
            step = self.document.workflow.nodes[name].step
            removable = group_of(step) == "postprocess"
            self._add_form(name, step, self.fold.column, self._fields(step), title=step.title, removable=removable)
        add = button("&Add a clean-up step", "Add a step that corrects the cells, such as filling holes.")
        menu = QMenu(add)
        menu.setToolTipsVisible(True)
        for step_class in steps_in_group("postprocess"):
            action = menu.addAction(step_class.title)
            action.setToolTip((step_class.__doc__ or "").strip().split("\n")[0])
            action.triggered.connect(lambda _=False, step_id=step_class.id: self._add_step(step_id))
        add.setMenu(menu)
        self.fold.column.addWidget(add)

    @staticmethod
    def _fields(step: Step, without: Sequence[str] = ()) -> list[str]:
        """Return the names of the settings; as a list of its own, so that nothing is folded away once more."""
        return [field.name for field in describe_fields(type(step)) if field.name not in without]

    def _other_nodes(self) -> list[str]:
        workflow = self.document.workflow
        return [node for group in ("superpixels", "postprocess") for node in nodes_in_group(workflow, group)]

    def _add_form(
        self,
        node: str,
        step: Step,
        place: QVBoxLayout,
        fields: list[str],
        *,
        title: str = "",
        removable: bool = False,
    ) -> None:
        form: StepForm[Step] = StepForm(step, only=fields)
        form.changed.connect(lambda new: self._change(node, new))
        if title:
            row = QHBoxLayout()
            row.addWidget(heading(title), 1)
            if removable:
                away = button("Remove", f"Take the step “{title}” out of the workflow.")
                away.clicked.connect(lambda: self._remove(node))
                row.addWidget(away)
            place.addLayout(row)
        place.addWidget(form)
        self.forms.append((node, form))

    def _change(self, node: str, step: Step) -> None:
        self.document.change_step(node, step)
        self._preview()

    def _add_step(self, step_id: str) -> None:
        try:
            workflow = self.document.workflow
            self.document.set_workflow(insert_after(workflow, workflow.outputs[0], step_id))
        except RequestError as error:
            self.bench.warn(str(error))
        self._preview()

    def _remove(self, node: str) -> None:
        try:
            self.document.set_workflow(remove(self.document.workflow, node))
        except RequestError as error:
            self.bench.warn(str(error))
        self._preview()

    # ------------------------------------------------------------------------------------------------ running

    def run(self) -> None:
        """Run the workflow on the whole image."""
        self.previewer.clear()
        self.bench.run(self.document.workflow.outputs)

    def preview(self) -> None:
        """Switch the preview on, or compute it again."""
        if self.preview_box.currentIndex() == 0:
            self.preview_as(1)
        else:
            self._preview()

    def preview_as(self, choice: int) -> None:
        """Switch the preview off (0), to the shown slice (1), or to a block around it (2)."""
        self.preview_box.setCurrentIndex(choice)

    def _switch_preview(self, choice: int) -> None:
        self.previewer.in_depth = choice == _BLOCK
        if choice:
            self._preview()
        else:
            self.previewer.clear()
            self.preview_label.setText("")

    def _preview(self) -> None:
        if self.preview_box.currentIndex() and self.isVisible() and self.document.images:
            try:
                self.previewer.request()
            except PlantSegError as error:
                self.preview_label.setText(str(error))


def main_fields(step: type[Step]) -> list[str]:
    """Return the settings of a step that matter most: those marked so, or else those that are not advanced."""
    fields = describe_fields(step)
    marked = [field.name for field in fields if field.hint.get("main")]
    return marked or [field.name for field in fields if not field.advanced]


def _empty(layout: QVBoxLayout | QHBoxLayout) -> None:
    """Take everything out of a layout."""
    while (item := layout.takeAt(0)) is not None:
        widget, inner = item.widget(), item.layout()
        if widget is not None:
            widget.setParent(None)
            widget.deleteLater()
        elif isinstance(inner, (QVBoxLayout, QHBoxLayout)):
            _empty(inner)

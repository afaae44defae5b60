"""A form made from a step: one control a field, checked by the step itself.

Nothing about a parameter is written here. Names, ranges, units, help and defaults come from the fields of the step
through `plantseg_app.core.describe`, and so does the sentence that stands under a field that is wrong. Any other
settings model of the same kind, such as a part of the training settings, is shown as well.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from plantseg_app.core.describe import FieldDescription, describe_fields
from plantseg_app.core.step import problems_by_field
from plantseg_app.errors import RequestError, did_you_mean
from plantseg_app.gui.forms.fold import Fold
from plantseg_app.gui.forms.make import has_editor
from plantseg_app.gui.forms.row import FieldRow

S = TypeVar("S", bound=BaseModel)


class StepForm(QWidget, Generic[S]):
    """Shows the settings of a step and gives back a checked step.

    Parameters
    ----------
    step
        A step with the settings to begin with, or its class to begin with the defaults.
    only
        Show only these fields, without folding any away; the others keep their values.
    hide
        Show all fields but these.

    Signals
    -------
    changed
        A person has changed something and the result is valid; carries the new step.
    validity_changed
        Whether what is shown makes a step; for buttons that need one.

    Raises
    ------
    RequestError
        If `only` or `hide` names a field that the step has not.
    """

    changed = Signal(object)
    validity_changed = Signal(bool)

    def __init__(
        self,
        step: S | type[S],
        only: Collection[str] | None = None,
        hide: Collection[str] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._model = step if isinstance(step, type) else type(step)
        self._rest: dict[str, Any] = {}
        self._last: S | None = None
        self._was_valid = True
        self.rows: dict[str, FieldRow] = {}
        self._make_rows(only, hide)
        self._build(folds=only is None)
        if isinstance(step, type):
            self._begin()
        else:
            self.set_step(step)

    @property
    def is_valid(self) -> bool:
        """Whether what is shown makes a step."""
        return self._was_valid

    def step(self) -> S:
        """Return the step that is shown.

        Raises
        ------
        RequestError
            If a value is out of range; the form says so at the field, too.
        """
        step, problems = self._checked()
        self._show_problems(problems)
        if step is None:
            raise RequestError(" ".join(f"{self._title(name)}{text}" for name, text in problems.items()))
        return step

    def set_step(self, step: S) -> None:
        """Show the settings of `step`; `changed` is not emitted."""
        if type(step) is not self._model:
            raise TypeError(f"The form shows {self._model.__name__}; it was given {type(step).__name__}.")
        plain = step.model_dump(mode="json")
        self._rest = {name: value for name, value in plain.items() if name not in self.rows}
        self._last = step
        self._show_values(plain, even_if_equal=True)
        self._show_problems({})

    def reset(self) -> None:
        """Set every field that is shown back to its default."""
        for row in self.rows.values():
            if not row.field.required:
                row.set_value(row.field.default)
        self._react()

    # ------------------------------------------------------------------------------------------------ layout

    def _make_rows(self, only: Collection[str] | None, hide: Collection[str]) -> None:
        fields = {field.name: field for field in describe_fields(self._model) if has_editor(field)}
        for name in (*(only or ()), *hide):
            if name not in self._model.model_fields:
                hint = did_you_mean(name, self._model.model_fields)
                raise RequestError(f'{self._model.__name__} has no setting "{name}" to show or hide. {hint}')
        for name, field in fields.items():
            if (only is None or name in only) and name not in hide:
                row = FieldRow(field, self)
                row.edited.connect(self._react)
                self.rows[name] = row

    def _build(self, folds: bool) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.advanced = Fold("Advanced")
        for row in self.rows.values():
            (self.advanced.column if folds and row.field.advanced else column).addWidget(row)
        column.addWidget(self.advanced)
        self.advanced.setVisible(self.advanced.column.count() > 0)
        if not self.rows:
            column.addWidget(QLabel("There is nothing to set."))
        self.problem_label = QLabel()
        self.problem_label.setProperty("role", "error")
        self.problem_label.setWordWrap(True)
        self.problem_label.setVisible(False)
        column.addWidget(self.problem_label)
        self.reset_button = QPushButton("Reset all")
        self.reset_button.setAccessibleName("Reset all")
        self.reset_button.setToolTip("Set everything here back to its default.")
        # In a dialog, Return after a number would press it otherwise.
        self.reset_button.setAutoDefault(False)
        self.reset_button.clicked.connect(self.reset)
        foot = QHBoxLayout()
        foot.addStretch(1)
        foot.addWidget(self.reset_button)
        column.addLayout(foot)

    def _begin(self) -> None:
        """Show the defaults; a setting that must be given is left to the person."""
        for row in self.rows.values():
            row.set_value(row.field.default)
        self._last, problems = self._checked()
        self._was_valid = not problems
        self._show_what_applies()
        self._show_what_changed({name: row.field.default for name, row in self.rows.items()})

    # ------------------------------------------------------------------------------------------------ checking

    def _checked(self) -> tuple[S | None, dict[str, str]]:
        values = {**self._rest, **{name: row.value() for name, row in self.rows.items()}}
        for name, row in self.rows.items():
            if not _applies(row.field, values):
                values[name] = row.field.default
        try:
            return self._model(**values), {}
        except ValidationError as error:
            return None, problems_by_field(error)

    def _react(self) -> None:
        step, problems = self._checked()
        self._show_problems(problems)
        if step is None:
            self._show_what_applies()
            self._show_what_changed({name: row.value() for name, row in self.rows.items()})
            return
        self._show_values(step.model_dump(mode="json"))
        if step != self._last:
            self._last = step
            self.changed.emit(step)

    def _show_values(self, plain: dict[str, Any], even_if_equal: bool = False) -> None:
        """Show what the step made of the input, which may be more than was typed."""
        for name, row in self.rows.items():
            if even_if_equal or (row.value() != plain[name] and _applies(row.field, plain)):
                row.set_value(plain[name])
            row.setVisible(_applies(row.field, plain))
        self._show_what_changed(plain)

    def _show_what_applies(self) -> None:
        values = {**self._rest, **{name: row.value() for name, row in self.rows.items()}}
        for row in self.rows.values():
            row.setVisible(_applies(row.field, values))

    def _show_what_changed(self, plain: Mapping[str, Any]) -> None:
        rows = {name: row for name, row in self.rows.items() if not row.isHidden()}
        changed = [row.field for name, row in rows.items() if row.show_whether_changed(plain[name])]
        self.reset_button.setVisible(bool(changed) and len(self.rows) > 1)
        self.advanced.say_changed(sum(field.advanced for field in changed))

    def _show_problems(self, problems: dict[str, str]) -> None:
        for name, row in self.rows.items():
            row.set_problem(problems.get(name, ""))
            if name in problems and row.field.advanced:
                self.advanced.open()
        others = [f"{self._title(name)}{text}" for name, text in problems.items() if name not in self.rows]
        self.problem_label.setText(" ".join(others))
        self.problem_label.setVisible(bool(others))
        if self._was_valid != (not problems):
            self._was_valid = not problems
            self.validity_changed.emit(self._was_valid)

    def _title(self, name: str) -> str:
        if not name:
            return ""
        return f"{self.rows[name].field.title if name in self.rows else name}: "


def _applies(field: FieldDescription, values: Mapping[str, Any]) -> bool:
    """Whether `field` has an effect beside the other values."""
    return all(values.get(other) in words for other, words in field.hint.get("when", {}).items())

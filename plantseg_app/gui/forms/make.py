"""Which control a field gets."""

from __future__ import annotations

from plantseg_app.core.describe import FieldDescription
from plantseg_app.gui.forms.editors import (
    BooleanEditor,
    ChoiceEditor,
    Editor,
    FolderEditor,
    ListEditor,
    OptionalEditor,
    SourcedEditor,
    TextEditor,
)
from plantseg_app.gui.forms.numbers import NumberEditor, NumbersEditor

_EDITORS: dict[str, type[Editor]] = {
    "number": NumberEditor,
    "integer": NumberEditor,
    "numbers": NumbersEditor,
    "integers": NumbersEditor,
    "boolean": BooleanEditor,
    "choice": ChoiceEditor,
    "text": TextEditor,
    "list": ListEditor,
}


def has_editor(field: FieldDescription) -> bool:
    """Whether a single control can show `field`; a group of settings gets a form of its own."""
    return field.type in _EDITORS


def make_editor(field: FieldDescription) -> Editor:
    """Return a new control for `field`, not yet showing a value."""
    editor = _sort_of(field)(field)
    return OptionalEditor(field, editor) if field.nullable else editor


def _sort_of(field: FieldDescription) -> type[Editor]:
    if field.type == "text" and "choices" in field.hint:
        return SourcedEditor
    if field.type == "text" and field.hint.get("folder"):
        return FolderEditor
    return _EDITORS[field.type]

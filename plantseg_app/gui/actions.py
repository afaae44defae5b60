"""Everything a person can do from menus, tool bar and keyboard, as one table; and the Qt actions made from it.

The window says which function does it (``build_actions(window, {"open": self.open})``). An action that nothing does
appears nowhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QToolBar

from plantseg_app.errors import RequestError, did_you_mean
from plantseg_app.gui.icons import icon


@dataclasses.dataclass(frozen=True)
class Action:
    """One thing to do.

    Attributes
    ----------
    key
        Its name in the program.
    text
        What the menu says; ``&`` stands before the letter that chooses it.
    shortcut
        Its keys as Qt writes them on every system, ``Ctrl`` being the command key of a Mac.
    tip
        What it does, in one sentence.
    menu
        The menu in which it stands.
    icon
        A drawing in ``resources/icons``; "" for none.
    in_tool_bar
        Whether it has a button above the canvas; those of proofreading have a bar of their own.
    is_tool
        Whether it is a tool that stays in hand until another one is taken.
    begins_group
        Whether a line stands above it in the menu.
    """

    key: str
    text: str
    shortcut: str
    tip: str
    menu: str
    icon: str = ""
    in_tool_bar: bool = False
    begins_group: bool = False
    is_tool: bool = False


_FILE, _EDIT, _VIEW, _STEPS, _TOOLS, _HELP = "&File", "&Edit", "&View", "&Steps", "&Tools", "&Help"
PROOFREAD = "&Proofread"
"""The menu of what can be done while cells are corrected; only then its single keys are heard."""
_BARS = {PROOFREAD: "corrections"}

ACTIONS: tuple[Action, ...] = (
    Action("open", "&Open images…", "Ctrl+O", "Open images; or drop them on the window.", _FILE, "open", True),
    Action(
        "open_sample", "Open the &sample", "Ctrl+Shift+O", "Open the stack that comes with the program.", _FILE,
        "sample",
    ),
    Action(
        "open_workflow", "Open &workflow…", "Ctrl+Shift+W", "Open a saved chain of steps.", _FILE, "open-workflow",
        begins_group=True,
    ),
    Action(
        "save_workflow", "Save wor&kflow…", "Ctrl+S", "Save the chain of steps, to run it again or to send it.", _FILE,
        "save-workflow", True,
    ),
    Action(
        "export", "&Export results…", "Ctrl+E", "Write cells, maps or tables to files.", _FILE, "export", True,
        begins_group=True,
    ),
    Action(
        "screenshot", "Save s&creenshot…", "Ctrl+Shift+S", "Save what the canvas shows as a picture.", _FILE,
        "screenshot",
    ),
    Action("quit", "&Quit", "Ctrl+Q", "Close the program; the session is kept.", _FILE, begins_group=True),
    Action("undo", "&Undo", "Ctrl+Z", "Take the last change back.", _EDIT, "undo", True),
    Action("redo", "&Redo", "Ctrl+Shift+Z", "Make the change again that was taken back.", _EDIT, "redo", True),
    Action(
        "preferences", "&Preferences…", "Ctrl+,", "Theme, font, palettes, device and folders.", _EDIT, "preferences",
        begins_group=True,
    ),
    Action("fit_view", "&Fit the image", "Ctrl+0", "Show the whole image.", _VIEW, "fit-view", True),
    Action(
        "toggle_3d", "2D or &3D", "Ctrl+D", "Change between one slice and the whole volume.", _VIEW, "toggle-3d", True
    ),
    Action(
        "likeness", "Li&keness under the cursor", "Ctrl+L", "Show which pixels a network finds like the one under the "
        "cursor.", _VIEW, "likeness",
    ),
    Action(
        "log", "&Log", "Ctrl+Shift+L", "Show or hide what the program has noted.", _VIEW, "log", begins_group=True
    ),
    Action("previous_page", "&Previous step", "Alt+Left", "Go back to the step before.", _STEPS, "previous"),
    Action("next_page", "&Next step", "Alt+Right", "Go on to the next step of the work.", _STEPS, "next"),
    Action(
        "preview", "Pre&view", "Ctrl+P", "Run the steps on what is visible.", _STEPS, "preview", True, begins_group=True
    ),
    Action("run", "&Run", "Ctrl+R", "Run the steps on the whole image.", _STEPS, "run", True),
    Action(
        "pick_objects", "Pick &objects", "Ctrl+K", "Make cells of objects of an embedding by clicking them.", _STEPS,
        "alike",
    ),
    Action("cancel", "&Cancel", "Esc", "Stop what is running; finished steps are kept.", _STEPS, "cancel", True),
    Action("look", "Mo&ve the view", "V", "Move and zoom; no tool is in hand.", PROOFREAD, "look", True, is_tool=True),
    Action(
        "merge", "&Merge", "M", "Join cells: click one after the other, or draw a stroke over them.", PROOFREAD,
        "merge", True, begins_group=True, is_tool=True,
    ),
    Action(
        "split", "&Split by scribbles", "S", "Part cells: draw a scribble in each part, then Return.", PROOFREAD,
        "split", True, is_tool=True,
    ),
    Action(
        "cut", "&Cut along a line", "C", "Draw a line across a cell to cut it.", PROOFREAD, "cut", True, is_tool=True
    ),
    Action(
        "seeds", "Split by see&ds", "D", "Part cells: click once in each part, then Return.", PROOFREAD, "seeds", True,
        is_tool=True,
    ),
    Action(
        "superpixels", "Split into supe&rpixels", "R", "Take the cell under the cursor apart into its superpixels.",
        PROOFREAD, "superpixels", True, is_tool=True,
    ),
    Action(
        "add_cell", "&Add a cell", "A", "Paint a new cell, on some of its slices; Return fills those between.",
        PROOFREAD, "add-cell", True, begins_group=True, is_tool=True,
    ),
    Action(
        "grow", "&Grow a cell", "G", "Click inside a missing cell; it grows up to its boundary.", PROOFREAD, "grow",
        True, is_tool=True,
    ),
    Action(
        "alike", "Add an alike ob&ject", "Q", "Click an object of an embedding to add it as a cell.", PROOFREAD,
        "alike", True, is_tool=True,
    ),
    Action(
        "paint", "&Paint", "P", "Enlarge the cell in which the stroke begins.", PROOFREAD, "paint", True, is_tool=True
    ),
    Action(
        "erase", "&Erase", "E", "Take voxels away from the cell in which the stroke begins.", PROOFREAD, "erase",
        True, is_tool=True,
    ),
    Action(
        "delete_cell", "Dele&te", "X", "Make the cell under the cursor background.", PROOFREAD, "delete", True,
        is_tool=True,
    ),
    Action(
        "fill_holes", "Fill &holes", "H", "Fill what the cell under the cursor encloses.", PROOFREAD, "fill-holes",
        True, begins_group=True, is_tool=True,
    ),
    Action(
        "smooth", "Sm&ooth", "O", "Smooth the outline of the cell under the cursor.", PROOFREAD, "smooth", True,
        is_tool=True,
    ),
    Action(
        "keep_largest", "&Keep the largest piece", "K", "Drop loose pieces of the cell under the cursor.", PROOFREAD,
        "keep-largest", True, is_tool=True,
    ),
    Action(
        "lock", "&Lock as correct", "L", "Say that the cell under the cursor is correct, or no longer; no tool "
        "changes a correct cell.", PROOFREAD, "lock", True, begins_group=True, is_tool=True,
    ),
    Action(
        "unsure", "&Unsure", "U", "Say that nobody can tell what the cell under the cursor is, or no longer.",
        PROOFREAD, "unsure", True, is_tool=True,
    ),
    Action(
        "next_cell", "&Next suspicious cell", "N", "Go to the most doubtful cell that you have not seen; at first, "
        "look at all cells to find out which they are.", PROOFREAD, "suspicious", begins_group=True,
    ),
    Action(
        "previous_cell", "Prev&ious suspicious cell", "Shift+N", "Go back to the suspicious cell before.", PROOFREAD
    ),
    Action(
        "accept_cell", "This cell is &fine, go on", "Y", "Lock the suspicious cell as correct and go to the next one.",
        PROOFREAD,
    ),
    Action("apply", "Appl&y", "Return", "Carry out what was drawn.", PROOFREAD, "apply", True, begins_group=True),
    Action("narrower", "Narrower &brush", "[", "Make the brush narrower.", PROOFREAD),
    Action("wider", "&Wider brush", "]", "Make the brush wider.", PROOFREAD),
    Action("models", "&Models", "Ctrl+M", "Look through the trained networks, add and remove them.", _TOOLS, "models"),
    Action("batch", "&Batch", "Ctrl+B", "Run a workflow on many files.", _TOOLS, "batch"),
    Action("training", "&Training", "Ctrl+T", "Train a network on own images.", _TOOLS, "training"),
    Action("shortcuts", "&Shortcuts", "F1", "Show all keys.", _HELP, "shortcuts"),
    Action("tour", "&Tour", "Ctrl+F1", "Show the way through the program in six short steps.", _HELP, "tour"),
    Action(
        "about", "&About", "Ctrl+Shift+A", "Versions and machine, to paste into a report.", _HELP, "about",
        begins_group=True,
    ),
)  # fmt: skip
"""All actions in the order of the menus."""


class ActionSet(Mapping[str, QAction]):
    """The Qt actions of a window by key, for switching them on and off.

    A key that there is not is answered with the nearest one.
    """

    def __init__(self, made: Mapping[str, QAction]) -> None:
        self._made = dict(made)

    def __getitem__(self, key: str) -> QAction:
        if key not in self._made:
            raise RequestError(f'There is no action "{key}". {did_you_mean(key, self._made)}')
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def set_keys(self, chosen: Mapping[str, str], table: Sequence[Action] = ACTIONS) -> None:
        """Give actions the keys that a person has chosen, and all others their usual ones."""
        for action in table:
            if action.key in self._made:
                _give_key(self._made[action.key], action, chosen.get(action.key, action.shortcut))

    def enable(self, **states: bool) -> None:
        """Switch actions on or off: ``enable(run=True, cancel=False)``."""
        for key, state in states.items():
            self[key].setEnabled(state)


def build_actions(
    window: QMainWindow, callbacks: Mapping[str, Callable[[], object]], table: Sequence[Action] = ACTIONS
) -> ActionSet:
    """Fill the menu bar and the tool bars of `window`, and return its actions.

    Parameters
    ----------
    callbacks
        What does it, by key; actions that are not named are left out.

    Raises
    ------
    RequestError
        If a key is none of the table's; the message suggests the nearest.
    """
    known = [action.key for action in table]
    for key in callbacks:
        if key not in known:
            raise RequestError(f'There is no action "{key}". {did_you_mean(key, known)}')
    wanted = [action for action in table if action.key in callbacks]
    made = {action.key: _make(window, action, callbacks[action.key]) for action in wanted}
    _fill_menus(window, wanted, made)
    _fill_tool_bars(window, wanted, made)
    return ActionSet(made)


def _make(window: QMainWindow, action: Action, callback: Callable[[], object]) -> QAction:
    made = QAction(action.text, window)
    made.setObjectName(action.key)
    _give_key(made, action, action.shortcut)
    made.setStatusTip(action.tip)
    if action.icon:
        made.setIcon(icon(action.icon))
    roles = {"quit": QAction.MenuRole.QuitRole, "about": QAction.MenuRole.AboutRole}
    roles["preferences"] = QAction.MenuRole.PreferencesRole
    made.setMenuRole(roles.get(action.key, QAction.MenuRole.NoRole))
    made.setCheckable(action.is_tool)
    made.triggered.connect(lambda: callback())
    return made


def _give_key(made: QAction, action: Action, shortcut: str) -> None:
    made.setShortcut(QKeySequence(shortcut))
    keys = made.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
    made.setToolTip(f"{action.tip} ({keys})" if keys else action.tip)


def _fill_menus(window: QMainWindow, wanted: Sequence[Action], made: Mapping[str, QAction]) -> None:
    for title in dict.fromkeys(action.menu for action in wanted):
        menu = window.menuBar().addMenu(title)
        menu.setToolTipsVisible(True)
        for action in wanted:
            if action.menu == title:
                if action.begins_group and not menu.isEmpty():
                    menu.addSeparator()
                menu.addAction(made[action.key])


def _fill_tool_bars(window: QMainWindow, wanted: Sequence[Action], made: Mapping[str, QAction]) -> None:
    for name, title in (("tools", "Tools"), ("corrections", "Corrections")):
        shown = [action for action in wanted if action.in_tool_bar and _BARS.get(action.menu, "tools") == name]
        if shown:
            window.addToolBar(_tool_bar(window, name, title, shown, made))


def _tool_bar(
    window: QMainWindow, name: str, title: str, shown: Sequence[Action], made: Mapping[str, QAction]
) -> QToolBar:
    bar = QToolBar(title, window)
    bar.setObjectName(name)
    bar.setMovable(False)
    in_hand = QActionGroup(bar)
    before = shown[0].menu
    if name != "tools":
        bar.addSeparator()
    for action in shown:
        if action.menu != before or (name != "tools" and action.begins_group):
            bar.addSeparator()
        before = action.menu
        bar.addAction(made[action.key])
        if action.is_tool:
            in_hand.addAction(made[action.key])
        button = bar.widgetForAction(made[action.key])
        button.setAccessibleName(action.text.replace("&", "").rstrip("…"))
    return bar

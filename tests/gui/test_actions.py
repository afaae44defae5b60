"""Menus, tool bar and keys made from one table; the list of keys that F1 opens."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import QMainWindow, QToolBar
from pytestqt.qtbot import QtBot

from plantseg_app.errors import RequestError
from plantseg_app.gui.actions import ACTIONS, PROOFREAD, build_actions
from plantseg_app.gui.icons import icon_names
from plantseg_app.gui.shortcuts_window import Shortcut, ShortcutsWindow, shortcuts_of


@pytest.fixture
def window(qtbot: QtBot) -> QMainWindow:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    return window


def test_the_table_is_whole():
    assert max(Counter(action.key for action in ACTIONS).values()) == 1
    assert max(Counter(QKeySequence(action.shortcut).toString() for action in ACTIONS).values()) == 1
    for action in ACTIONS:
        assert re.fullmatch("[a-z][a-z0-9_]*", action.key)
        assert QKeySequence(action.shortcut).toString(), action.key
        assert action.tip.endswith("."), action.key
        assert action.icon in ("", *icon_names()), action.key
        assert action.icon or not action.in_tool_bar, action.key


@pytest.mark.parametrize("menu", sorted({action.menu for action in ACTIONS}))
def test_each_letter_of_a_menu_chooses_one_action(menu):
    letters = Counter(re.search("&(.)", action.text)[1].lower() for action in ACTIONS if action.menu == menu)
    assert max(letters.values()) == 1, letters


@pytest.mark.gui
def test_menus_and_keys_call_what_the_window_names(window: QMainWindow, qtbot: QtBot) -> None:
    called: list[str] = []
    actions = build_actions(window, {key: lambda key=key: called.append(key) for key in ("open", "run", "about")})
    assert [menu.title() for menu in (item.menu() for item in window.menuBar().actions())] == [
        "&File",
        "&Steps",
        "&Help",
    ]
    actions["open"].trigger()
    with qtbot.waitActive(window):
        window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert called == ["open", "run"]
    actions.enable(run=False)
    qtbot.keyClick(window, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert called == ["open", "run"]
    assert "Ctrl+R" in actions["run"].toolTip()


def test_every_button_of_the_tool_bar_has_a_name_and_a_tip(window: QMainWindow) -> None:
    actions = build_actions(window, {action.key: lambda: None for action in ACTIONS})
    bars = {
        action.key: window.findChild(QToolBar, "corrections" if action.menu == PROOFREAD else "tools")
        for action in ACTIONS
    }
    buttons = [bars[action.key].widgetForAction(actions[action.key]) for action in ACTIONS if action.in_tool_bar]
    assert len(buttons) >= 8
    for button in buttons:
        assert button.accessibleName()
        assert button.toolTip()


def test_an_unknown_key_is_answered_with_the_nearest(window: QMainWindow) -> None:
    with pytest.raises(RequestError, match='Did you mean "open"'):
        build_actions(window, {"opne": lambda: None})
    actions = build_actions(window, {"undo": lambda: None})
    with pytest.raises(RequestError, match='Did you mean "undo"'):
        actions["unod"]


@pytest.fixture
def keys(qtbot: QtBot) -> ShortcutsWindow:
    keys = ShortcutsWindow([*shortcuts_of(), Shortcut("Canvas", "Shift+drag", "Move the image.")])
    qtbot.addWidget(keys)
    keys.show()
    return keys


def test_all_keys_are_listed(keys: ShortcutsWindow) -> None:
    assert len(keys.visible_keys()) == len(ACTIONS) + 1
    assert "Ctrl+O" in keys.visible_keys()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("canvas drag", ["Shift+drag"]),
        ("TAKE back", ["Ctrl+Z", "Ctrl+Shift+Z"]),
        ("ctrl+m", ["Ctrl+M"]),
        ("nothing of the sort", []),
    ],
)
def test_the_list_shrinks_to_what_is_searched(keys: ShortcutsWindow, qtbot: QtBot, text, expected) -> None:
    qtbot.keyClicks(keys.search, text)
    assert sorted(keys.visible_keys()) == sorted(expected)
    assert keys.nothing.isVisible() == (not expected)


@pytest.mark.gui
def test_keys_can_be_changed_but_not_taken_twice(window: QMainWindow, qtbot: QtBot) -> None:
    called: list[str] = []
    chosen: dict[str, str] = {}
    actions = build_actions(window, {key: lambda key=key: called.append(key) for key in ("open", "run", "merge")})

    def change(key: str, keys: str) -> None:
        chosen[key] = keys
        actions.set_keys(chosen)

    keys = ShortcutsWindow(shortcuts_of(), change=change)
    qtbot.addWidget(keys)
    row = keys.tree.findItems("Join cells", Qt.MatchFlag.MatchStartsWith | Qt.MatchFlag.MatchRecursive)[0]
    keys.tree.setCurrentItem(row)
    keys.keys_edit.setKeySequence(QKeySequence("Ctrl+R"))
    keys.use_button.click()
    assert "taken" in keys.said.text()
    assert chosen == {}
    keys.keys_edit.setKeySequence(QKeySequence("J"))
    keys.use_button.click()
    assert chosen == {"merge": "J"}
    assert row.text(1) == "J"
    with qtbot.waitActive(window):
        window.activateWindow()
    qtbot.keyClick(window, Qt.Key.Key_J)
    qtbot.keyClick(window, Qt.Key.Key_M)
    assert called == ["merge"]
    assert "(J)" in actions["merge"].toolTip()
    keys.usual_button.click()
    assert row.text(1) == "M"
    assert actions["merge"].shortcut() == QKeySequence("M")

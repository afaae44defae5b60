"""The small tables of the page Proofread: whole rows, no side-scrolling, and they stay where they are scrolled to."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QTableView

from plantseg_app.gui.areas.row_table import RowTable


def make_list_view(table: RowTable[Any], name: str, tip: str) -> QTableView:
    """Return a view of `table`, in which one row can be chosen."""
    view = QTableView()
    view.setModel(table)
    view.setAccessibleName(name)
    view.setToolTip(tip)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    view.setTabKeyNavigation(False)
    view.setShowGrid(False)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.verticalHeader().hide()
    view.horizontalHeader().setHighlightSections(False)
    # Columns are as wide as the rows in sight ask for; asking all would take longer than a correction.
    view.horizontalHeader().setResizeContentsPrecision(0)
    return view


def show_rows(view: QTableView, table: RowTable[Any], rows: list[Any]) -> None:
    """Show other rows, scrolled as far as before; none is chosen then. Does nothing where they are the same."""
    if rows != table.rows:
        scrolled = view.verticalScrollBar().value()
        table.set_rows(rows)
        view.verticalScrollBar().setValue(scrolled)

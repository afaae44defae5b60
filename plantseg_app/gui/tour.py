"""The tour: six short steps through the window on the bundled sample, each a bubble beside what it is about.

What it says and shows is the table `STEPS`. It opens the sample and turns the pages, but starts no work of its own:
everything that takes time waits for the person. The window stays usable meanwhile, and may change below the tour.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, QSize, Qt, QTimer
from PySide6.QtGui import QAccessible, QAccessibleEvent, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget
from shiboken6 import isValid

from plantseg_app.gui.widgets import button
from plantseg_app.gui.wizard.export_page import ExportPage
from plantseg_app.gui.wizard.load_page import LoadPage
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.wizard.predict_page import PredictPage
from plantseg_app.gui.wizard.segment_page import SegmentPage

if TYPE_CHECKING:
    from plantseg_app.gui.main_window import MainWindow

_GAP_PX, _FRAME_PX = 10, 3
_LINE_LETTERS = 44
_NEXT_TO_NOTHING = 0.05
_MOVES = {QEvent.Type.Move, QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide}
_SomePage = TypeVar("_SomePage", bound=Page)


@dataclasses.dataclass(frozen=True)
class TourStep:
    """One bubble.

    Attributes
    ----------
    title, text
        What it says: a few words, and at most two sentences.
    target
        The widget that it is about, looked up whenever it may have been made anew.
    page
        The title of the page that is opened for it; "" for none.
    opens_sample
        Whether the sample is opened for it, if no image is open.
    """

    title: str
    text: str
    target: Callable[[MainWindow], QWidget]
    page: str = ""
    opens_sample: bool = False


def _page(window: MainWindow, sort: type[_SomePage]) -> _SomePage:
    return next(page for page in window.pages if isinstance(page, sort))


def _ways_to_open(window: MainWindow) -> QWidget:
    page = _page(window, LoadPage)
    return page.more_button if window.document.images else page.drop_hint


def _slider(window: MainWindow) -> QWidget:
    page = _page(window, SegmentPage)
    return page.forms[0][1] if page.forms else page.run_button


STEPS: tuple[TourStep, ...] = (
    TourStep(
        "Open images",
        "Drop files or folders anywhere on this window, or choose them here. "
        "The tour goes on with the sample, a piece of a plant ovule, unless you open an image of your own.",
        _ways_to_open,
        LoadPage.title,
    ),
    TourStep(
        "Look through the stack",
        "The slider below the image moves through the slices, the wheel zooms and dragging moves the view. "
        "The list on the right shows and hides what lies on top of the image.",
        lambda window: window.viewer.widget,
        LoadPage.title,
        opens_sample=True,
    ),
    TourStep(
        "From left to right",
        "These are the steps of the work, and the button Next leads through them. "
        "You can go back at any time; images are never changed.",
        lambda window: window.stepper,
    ),
    TourStep(
        "A network finds the walls",
        "The model that suits the image best stands first, and the page says how long it will take. "
        "Press Predict, or go on: the next page runs it, too, when its map is needed.",
        lambda window: _page(window, PredictPage).models,
        PredictPage.title,
    ),
    TourStep(
        "The walls become cells",
        "This setting makes cells larger or smaller; with the preview on you see at once what it does. "
        "Segment everything then makes the cells of the whole stack.",
        _slider,
        SegmentPage.title,
    ),
    TourStep(
        "Correct, measure, save",
        "Proofread corrects cells by hand; this page shows their sizes and saves cells, table and workflow. "
        "Batch, at the top right, does the same for many images, and Help > Tour shows all this again.",
        lambda window: _page(window, ExportPage).save_button,
        ExportPage.title,
    ),
)  # fmt: skip
"""What the tour says, in order."""


class Tour(QObject):
    """Leads through `STEPS` in a window, from `start` until the last step or `end`.

    Parameters
    ----------
    window
        The window, which also owns it.
    """

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._index = -1
        self._waits_for_image = False
        self._watched: list[QWidget] = []
        self.outline = Outline(window)
        self.bubble = Bubble(window)
        self.bubble.back_button.clicked.connect(lambda: self.go(-1))
        self.bubble.next_button.clicked.connect(lambda: self.go(1))
        self.bubble.skip_button.clicked.connect(self.end)
        self.bubble.given_up = self.end
        # Widgets move in several turns of the event loop; the bubble follows once they have come to rest.
        self._placing = QTimer(self, singleShot=True, interval=0)
        self._placing.timeout.connect(self._place)
        document = window.document
        document.images_changed.connect(self._catch_up)
        for changed in (document.images_changed, document.workflow_changed, document.results_changed):
            changed.connect(self._place_soon)

    @property
    def is_shown(self) -> bool:
        """Whether a bubble is on the screen."""
        return self._index >= 0

    @property
    def step(self) -> int:
        """Which of `STEPS` is shown, from 0; -1 for none."""
        return self._index

    def start(self) -> None:
        """Begin with the first step, and note that this person has seen the tour."""
        self._window.preferences.change(tour_seen=True)
        self._show(0)

    def start_after_first_paint(self) -> None:
        """Begin once the window has been painted, so that the tour never delays it."""
        _AfterPaint(self._window, self.start)

    def go(self, by: int) -> None:
        """Go `by` steps on; beyond the last one the tour ends."""
        if self.is_shown:
            self._show(max(0, self._index + by))

    def end(self) -> None:
        """Put everything away; the page that is open stays."""
        had_keyboard = self.bubble.isAncestorOf(self._window.focusWidget() or self._window)
        self._index = -1
        self._watch([])
        self.bubble.hide()
        self.outline.hide()
        if had_keyboard:
            self._window.next_button.setFocus()

    def _show(self, index: int) -> None:
        if index >= len(STEPS):
            self.end()
            return
        self._index = index
        step = STEPS[index]
        if step.opens_sample and not self._window.document.images and not self._window.loader.is_busy:
            _page(self._window, LoadPage).open_sample()
        self._open_page(step)
        self.bubble.say(step, index, len(STEPS))
        self._place()
        self.bubble.show()
        self.bubble.next_button.setFocus()

    def _open_page(self, step: TourStep) -> None:
        if step.page:
            self._window.go_to(step.page)
        self._waits_for_image = bool(step.page) and self._window.page.title != step.page

    def _catch_up(self) -> None:
        """Open the page that was out of reach, because the sample was not there yet."""
        if self.is_shown and self._waits_for_image:
            # The loader opens the first page until it has finished.
            QTimer.singleShot(0, self, lambda: self._open_page(STEPS[self._index]) if self.is_shown else None)

    # ------------------------------------------------------------------------------------------------ places

    def eventFilter(self, _watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Follow the widget and all around it."""
        if event.type() in _MOVES:
            self._place_soon()
        return False

    def _place_soon(self) -> None:
        if self.is_shown:
            self._placing.start()

    def _place(self) -> None:
        """Put the bubble beside its widget; into the middle while that is not to be seen."""
        if not self.is_shown:
            return
        target = STEPS[self._index].target(self._window)
        self._watch(_with_parents(target))
        # Menus and tool bar stay free.
        content = self._window.centralWidget() or self._window
        room = content.geometry().adjusted(_GAP_PX, _GAP_PX, -_GAP_PX, -_GAP_PX)
        seen = seen_part(target, self._window)
        size = self.bubble.fitting_size(room.size())
        if seen.isEmpty():
            self.outline.hide()
            seen = QRect(room.center(), QSize(1, 1))
            place = QRect(QPoint(0, 0), size)
            place.moveCenter(room.center())
        else:
            seen = seen.adjusted(-_FRAME_PX, -_FRAME_PX, _FRAME_PX, _FRAME_PX)
            place = place_beside(seen, size, room)
            self.outline.setGeometry(seen)
            self.outline.show()
            self.outline.raise_()
        self.bubble.setGeometry(place)
        self.bubble.raise_()

    def _watch(self, widgets: Sequence[QWidget]) -> None:
        if list(widgets) == self._watched:
            return
        for widget in self._watched:
            if isValid(widget):
                widget.removeEventFilter(self)
        self._watched = list(widgets)
        for widget in self._watched:
            widget.installEventFilter(self)


class Bubble(QFrame):
    """A title, two sentences, how far the tour is, and the three ways on.

    Attributes
    ----------
    given_up
        Called at Escape.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.given_up: Callable[[], object] = self.hide
        self.setProperty("role", "bubble")
        self.title = QLabel()
        self.title.setProperty("role", "heading")
        self.text = QLabel()
        self.progress = QLabel()
        self.progress.setProperty("role", "help")
        for label in (self.title, self.text):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.skip_button = button("Skip", "End the tour (Esc); Help > Tour shows it again.")
        self.back_button = button("Back", "Go back to the step of the tour before.")
        self.next_button = button("Next", "Go on to the next step of the tour.", main=True)
        row = QHBoxLayout()
        row.addWidget(self.skip_button)
        row.addStretch(1)
        row.addWidget(self.progress)
        row.addStretch(1)
        row.addWidget(self.back_button)
        row.addWidget(self.next_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.text)
        column.addLayout(row)
        QWidget.setTabOrder(self.next_button, self.back_button)
        QWidget.setTabOrder(self.back_button, self.skip_button)
        self.hide()

    def say(self, step: TourStep, index: int, n_steps: int) -> None:
        """Show a step, and tell those who hear the window."""
        self.title.setText(step.title)
        self.text.setText(step.text)
        self.progress.setText(f"{index + 1} of {n_steps}")
        self.back_button.setEnabled(index > 0)
        is_last = index + 1 == n_steps
        self.next_button.setText("Done" if is_last else "Next")
        self.next_button.setAccessibleName(self.next_button.text())
        self.next_button.setToolTip("End the tour." if is_last else "Go on to the next step of the tour.")
        self.skip_button.setVisible(not is_last)
        self.setAccessibleName(f"Tour, {index + 1} of {n_steps}: {step.title}")
        self.setAccessibleDescription(step.text)
        # Read out together with the button that gets the keyboard.
        self.next_button.setAccessibleDescription(f"{step.title}. {step.text}")
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    def fitting_size(self, room: QSize) -> QSize:
        """Return the size in which all is to be read, in a window with this room."""
        self.ensurePolished()
        layout = self.layout()
        buttons = self.minimumSizeHint().width()
        width = min(max(self.fontMetrics().averageCharWidth() * _LINE_LETTERS, buttons), room.width())
        height = layout.totalHeightForWidth(width) if layout is not None else 0
        return QSize(width, min(height, room.height()))

    def event(self, event: QEvent) -> bool:
        """Take Escape before the window does, whose Escape cancels a run."""
        is_asked = event.type() == QEvent.Type.ShortcutOverride
        if is_asked and isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape:
            event.accept()
            return True
        return super().event(event)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """End at Escape; press the button that has the keyboard at Enter, as in a dialog."""
        focused = self.window().focusWidget()
        if event.key() == Qt.Key.Key_Escape:
            self.given_up()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and isinstance(focused, QPushButton):
            focused.click()
        else:
            super().keyPressEvent(event)


class Outline(QWidget):
    """A frame around another widget; the mouse goes through it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hide()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the frame in the colour of what has the keyboard."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().link().color(), _FRAME_PX))
        inset = _FRAME_PX // 2 + 1
        painter.drawRoundedRect(self.rect().adjusted(inset, inset, -inset, -inset), 5, 5)
        painter.end()


class _AfterPaint(QObject):
    """Calls a function once, after a window was painted for the first time."""

    def __init__(self, window: QWidget, call: Callable[[], object]) -> None:
        super().__init__(window)
        self._call = call
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Wait for the paint event, and for everything that belongs to it."""
        if event.type() == QEvent.Type.Paint:
            watched.removeEventFilter(self)
            QTimer.singleShot(0, self, self._begin)
        return False

    def _begin(self) -> None:
        self._call()
        self.deleteLater()


def place_beside(target: QRect, size: QSize, room: QRect) -> QRect:
    """Return where something of `size` goes: right, left, below or above `target`, wholly in `room`.

    Where none of the four has enough room it lies where it covers next to nothing of `target`, or else the least.
    """
    right = QPoint(target.right() + 1 + _GAP_PX, target.top())
    left = QPoint(target.left() - _GAP_PX - size.width(), target.top())
    below = QPoint(target.left(), target.bottom() + 1 + _GAP_PX)
    above = QPoint(target.left(), target.top() - _GAP_PX - size.height())
    places = [_into(QRect(corner, size), room) for corner in (right, left, below, above)]
    covered = [_area(place.intersected(target)) for place in places]
    for most in (0, _area(target) * _NEXT_TO_NOTHING, min(covered)):
        for place, area in zip(places, covered, strict=True):
            if area <= most:
                return place
    return places[0]


def seen_part(widget: QWidget, window: QWidget) -> QRect:
    """Return the part of `widget` that is not hidden or scrolled away, in the coordinates of `window`."""
    if not widget.isVisibleTo(window):
        return QRect()
    seen = QRect(widget.mapTo(window, QPoint(0, 0)), widget.size())
    for parent in _with_parents(widget)[1:]:
        seen &= QRect(parent.mapTo(window, QPoint(0, 0)), parent.size())
        if parent is window:
            break
    return seen


def _with_parents(widget: QWidget) -> list[QWidget]:
    found = []
    inner: QWidget | None = widget
    while inner is not None:
        found.append(inner)
        inner = inner.parentWidget()
    return found


def _into(place: QRect, room: QRect) -> QRect:
    """Move `place` into `room` as far as it goes."""
    x = max(room.left(), min(place.left(), room.right() + 1 - place.width()))
    y = max(room.top(), min(place.top(), room.bottom() + 1 - place.height()))
    return QRect(QPoint(x, y), place.size())


def _area(rect: QRect) -> int:
    return max(0, rect.width()) * max(0, rect.height())

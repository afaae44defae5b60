"""First page: open images, say what each of them shows, and what to do with them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import ClassVar

from PySide6.QtWidgets import QFileDialog, QVBoxLayout

from plantseg_app.core.volume import VoxelSize
from plantseg_app.errors import InputError, PlantSegError
from plantseg_app.gui.loader import Loader
from plantseg_app.gui.widgets import button, heading
from plantseg_app.gui.wizard.image_card import ImageCard
from plantseg_app.gui.wizard.page import Page
from plantseg_app.gui.wizard.welcome import DropHint, RecentFiles
from plantseg_app.gui.wizard.workflow_choice import WorkflowChoice
from plantseg_app.gui.wizard.workflow_offer import WorkflowOffer
from plantseg_app.gui.workbench import Workbench
from plantseg_app.io import FORMATS
from plantseg_app.paths import samples_dir
from plantseg_app.run.roles import ROLES


class LoadPage(Page):
    """Open images by dropping or choosing them, give them roles, and choose a workflow."""

    title: ClassVar[str] = "Load"
    hint: ClassVar[str] = "Open one image or several, and say what each of them shows."

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench)
        self.loader: Loader = bench.loader
        self.cards: dict[str, ImageCard] = {}
        self.drop_hint = DropHint()
        self.recent = RecentFiles()
        self.more_button = button("&Open more images…", "Choose further image files to open (Ctrl+O).")
        self.offer = WorkflowOffer()
        self.card_column = QVBoxLayout()
        self.card_column.setSpacing(6)
        self.to_do_heading = heading("What to do")
        self.to_do = WorkflowChoice(self.document)
        self.column.addWidget(self.drop_hint)
        self.column.addWidget(self.recent)
        self.column.addLayout(self.card_column)
        for widget in (self.more_button, self.offer, self.to_do_heading, self.to_do):
            self.column.addWidget(widget)
        self.column.addStretch(1)
        self._connect()

    def _connect(self) -> None:
        self.drop_hint.open_button.clicked.connect(self.choose_files)
        self.more_button.clicked.connect(self.choose_files)
        self.drop_hint.sample_button.clicked.connect(self.open_sample)
        self.recent.chosen.connect(lambda path: self.bench.open_paths([path]))
        self.to_do.file_chosen.connect(self.loader.open_workflow)
        self.loader.workflow_offered.connect(self.offer.show_offer)
        self.offer.accepted.connect(self.loader.open_workflow)

    @property
    def is_complete(self) -> bool:
        """Whether an image is open."""
        return bool(self.document.images)

    def enter(self) -> None:
        """Look which of the recent files are still there."""
        super().enter()
        self._look_for_recent()

    def refresh(self) -> None:
        """Show what is open and what it is used for."""
        images = self.document.images
        empty = not images
        self.drop_hint.setVisible(empty)
        self.more_button.setVisible(not empty)
        for widget in (self.to_do_heading, self.to_do):
            widget.setVisible(not empty)
        if empty and self.cards:
            self._look_for_recent()
        if not empty:
            self.recent.setVisible(False)
            self.to_do.refresh()
        self._refresh_cards()

    def _refresh_cards(self) -> None:
        images = self.document.images
        for name in [name for name in self.cards if name not in images]:
            card = self.cards.pop(name)
            self.card_column.removeWidget(card)
            # The card may be the sender of the signal that closes it.
            card.hide()
            card.deleteLater()
        for name, image in images.items():
            if name not in self.cards:
                self.cards[name] = self._card(name)
                self.card_column.addWidget(self.cards[name])
            self.cards[name].show_image(image, len(images) > 1)

    def _card(self, name: str) -> ImageCard:
        card = ImageCard(name)
        card.role_chosen.connect(self._set_role)
        card.voxel_size_given.connect(self._set_voxel_size)
        card.same_for_all.connect(self._same_for_all)
        card.settings_wanted.connect(self.loader.settle_again)
        card.closed.connect(self.document.remove_image)
        return card

    # ------------------------------------------------------------------------------------------------ opening

    def choose_files(self) -> None:
        """Ask for files to open."""
        endings = " ".join(f"*{suffix}" for known in FORMATS for suffix in known.suffixes)
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Open images", "", f"Images ({endings});;Workflows (*.yaml *.yml);;All files (*)"
        )
        self.bench.open_paths([Path(path) for path in paths])

    def open_sample(self) -> None:
        """Open the stack that comes with the program."""
        self.bench.open_paths([samples_dir() / "sample_ovule.h5"])

    def _look_for_recent(self) -> None:
        recent = self.loader.known.recent()

        def look() -> list[tuple[Path, float | None]]:
            return [(path, _changed_s(path)) for path in recent]

        def show(found: list[tuple[Path, float | None]]) -> None:
            self.recent.show_files(found if not self.document.images else [])

        # A drive that is not there may take seconds to say so.
        self.loader.beside.ask(look, show, self.bench.tell)

    # ------------------------------------------------------------------------------------------------ one image

    def _set_role(self, name: str, role: str) -> None:
        image = self.document.images[name]
        wanted = ROLES[role].kind
        if wanted.is_labels != image.volume.kind.is_labels and image.path is not None:
            self.loader.read_as(name, role)
            return
        try:
            volume = image.volume if image.volume.kind is wanted else image.volume.replace(kind=wanted)
        except InputError as error:
            self.bench.warn(str(error))
            self.refresh()
            return
        ref = None if image.ref is None else image.ref.as_kind(wanted)
        self.document.change_image(name, role=role, volume=volume, ref=ref)

    def _set_voxel_size(self, name: str, size: VoxelSize | None) -> None:
        image = self.document.images[name]
        read = dataclasses.replace(image.read, voxel_size_um=size)
        try:
            ref = None if image.ref is None else self.bench.runner.store.with_voxel_size(image.ref, size)
        except PlantSegError as error:
            self.bench.warn(str(error))
            return
        volume = image.volume.replace(voxel_size_um=size) if ref is None else self.bench.runner.open(ref)
        source = "given by you" if size is not None else "not stored"
        self.document.change_image(name, volume=volume, read=read, ref=ref, voxel_source=source)

    def _same_for_all(self, name: str) -> None:
        size = self.document.images[name].volume.voxel_size_um
        for other in [other for other in self.document.images if other != name]:
            self._set_voxel_size(other, size)


def _changed_s(path: Path) -> float | None:
    """Return when a file was changed, in seconds since 1970; None when it cannot be looked at."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None

"""The choice of what an image shows."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QComboBox, QWidget

from plantseg_app.run.roles import ROLES


class RoleCombo(QComboBox):
    """All roles by their titles; the help of the chosen one is the tool tip."""

    def __init__(self, image: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName(f"What {image} shows")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(10)
        for role in ROLES.values():
            self.addItem(role.title, role.key)
            self.setItemData(self.count() - 1, role.help, Qt.ItemDataRole.ToolTipRole)
        self.currentIndexChanged.connect(self._explain)
        self._explain()

    @property
    def role(self) -> str:
        """The key of the role that is chosen."""
        return str(self.currentData())

    def show_role(self, role: str) -> None:
        """Choose a role without telling anybody."""
        self.blockSignals(True)
        self.setCurrentIndex(self.findData(role))
        self.blockSignals(False)
        self._explain()

    def _explain(self) -> None:
        self.setToolTip(f"What the image shows. {ROLES[self.role].help}")

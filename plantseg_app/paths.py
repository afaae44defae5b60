"""The only place that knows where the program keeps and finds its files.

Works in a checkout, in an installed wheel and in a frozen bundle alike. Nothing is created here: a folder is
made by whoever writes into it. `PLANTSEG_APP_HOME` moves everything the program keeps to another folder.

>>> resources_dir().name
'resources'
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

HOME_VARIABLE = "PLANTSEG_APP_HOME"


def home_dir() -> Path:
    """Return the folder that holds downloaded models, sessions, cache and preferences (it may not exist yet)."""
    override = os.environ.get(HOME_VARIABLE)
    if override:
        return Path(override).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local")))
        return base / "PlantSegApp"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "PlantSegApp"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "plantseg-app"


def preferences_file() -> Path:
    """Return the file of what a person has chosen once for all."""
    return home_dir() / "preferences.json"


def user_models_dir() -> Path:
    """Return the folder of models a person downloaded, trained or added, wherever the preferences put it."""
    return _chosen_folder("models") or home_dir() / "models"


def trainings_dir() -> Path:
    """Return the folder in which trainings lie unless a person says otherwise."""
    return home_dir() / "trainings"


def cache_dir() -> Path:
    """Return the folder of intermediate results, safe to delete at any time."""
    return home_dir() / "cache"


def collections_dir() -> Path:
    """Return the folder of lists of models that were fetched from collections."""
    return home_dir() / "collections"


def downloads_dir() -> Path:
    """Return the folder of what has arrived of downloads that are not complete."""
    return cache_dir() / "downloads"


def checksums_dir() -> Path:
    """Return the folder of the checksums that files had when they were downloaded first."""
    return home_dir() / "checksums"


def sessions_dir() -> Path:
    """Return the folder in which running and crashed sessions keep their volumes, wherever the preferences put it."""
    return _chosen_folder("sessions") or home_dir() / "sessions"


def bundled_models_dir() -> Path:
    """Return the folder of the models that ship with the program."""
    return _bundled("models_zoo")


def resources_dir() -> Path:
    """Return the folder of icons, sample images and ready-made workflows."""
    return _bundled("resources")


def workflows_dir() -> Path:
    """Return the folder of the ready-made workflows."""
    return resources_dir() / "workflows"


def samples_dir() -> Path:
    """Return the folder of the bundled sample images."""
    return resources_dir() / "samples"


def _chosen_folder(name: str) -> Path | None:
    """Return the folder that the preferences name for `name`, so that window and command line use the same one."""
    try:
        plain = json.loads(preferences_file().read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    folders = plain.get("folders") if isinstance(plain, dict) else None
    chosen = folders.get(name) if isinstance(folders, dict) else None
    if not isinstance(chosen, str) or not chosen:
        return None
    folder = Path(chosen).expanduser()
    return folder if folder.is_absolute() else None


def _bundled(name: str) -> Path:
    package = Path(__file__).resolve().parent
    inside = package / "_bundled" / name
    return inside if inside.is_dir() else package.parent / name

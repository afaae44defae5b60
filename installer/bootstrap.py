#!/usr/bin/env python3
"""Set PlantSeg App up in one command; needs nothing but Python 3.11 or newer.

    python3 installer/bootstrap.py demo    install, segment the bundled sample, say where the results lie
    python3 installer/bootstrap.py app     install, open the window (files may follow)
    python3 installer/bootstrap.py test    install with the developers' tools, run all checks and tests

Makes `.venv` beside this folder's parent, installs the versions pinned in `constraints.txt`, and names the system
libraries that are missing (as root on Debian or Ubuntu it installs them). Run again, it finds everything in place
and is quick. Only the standard library is used; nothing of the application is imported.
"""

from __future__ import annotations

import argparse
import ctypes.util
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

INSTALLER = Path(__file__).resolve().parent
ROOT = INSTALLER.parent
CONSTRAINTS = INSTALLER / "constraints.txt"
NO_DEPENDENCIES = INSTALLER / "test-peers.txt"
OLDEST_PYTHON = (3, 11)
WINDOW = ["tests/gui", "plantseg_app/gui"]
# A process for each core, but not more than there is memory for.
PARALLEL = ["-n", "logical", "--maxprocesses=4", "--dist=loadfile"]


class SetupError(Exception):
    """Something a person has to do before the set-up can go on."""


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks for and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["demo", "app", "test"])
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to the application or to pytest")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="folder of the environment (default: .venv)")
    options = parser.parse_args(argv)
    try:
        check_python()
        needs_screen = {"demo": [], "app": ["window"], "test": ["window", "screen"]}[options.command]
        provide_system_libraries(needs_screen)
        python = make_environment(options.venv)
        install(python, developer=options.command == "test")
        return {"demo": run_demo, "app": run_app, "test": run_tests}[options.command](python, options.arguments)
    except SetupError as error:
        print(f"bootstrap: {error}", file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(
            f"bootstrap: this command failed with status {error.returncode}: {' '.join(map(str, error.cmd))}",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("bootstrap: stopped; run the same command again to go on.", file=sys.stderr)
        return 130


def say(text: str) -> None:
    """Print one line at once, also into a pipe."""
    print(f"==> {text}", flush=True)


def check_python() -> None:
    """Raise `SetupError` unless this Python is new enough and 64 bits wide."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise SetupError(f"Python {found} runs this script; 3.11 or newer is needed. Install it and use its name.")
    if sys.maxsize < 2**32:
        raise SetupError("This is a 32-bit Python; PyTorch needs a 64-bit one.")


# ---------------------------------------------------------------------------------------------- system libraries


def provide_system_libraries(purposes: list[str]) -> None:
    """Install missing libraries as root on Debian; elsewhere name them and go on, since only the window needs them."""
    if sys.platform != "linux" or not purposes:
        return
    wanted = json.loads((INSTALLER / "system-packages.json").read_text(encoding="utf-8"))
    family = distribution_family(wanted)
    missing: list[str] = []
    for purpose in purposes:
        for probe, packages in wanted["libraries"][purpose].items():
            if not is_present(probe):
                missing.append(packages.get(family, packages["debian"]))
    missing = sorted(set(missing))
    if not missing:
        return
    command = [*wanted["install"].get(family, wanted["install"]["debian"]), *missing]
    if family == "debian" and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing system libraries: {' '.join(missing)}")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        done = all(
            subprocess.run(part, env=environment, stdout=subprocess.DEVNULL, check=False).returncode == 0
            for part in (["apt-get", "-qq", "update"], command)
        )
        if done:
            return
        say("that did not work")
    say(f"missing system libraries; the window may not open. To install them: sudo {' '.join(command)}")


def is_present(probe: str) -> bool:
    """Whether a library (``lib:name``) or a program (``bin:name``) is on this machine."""
    sort, name = probe.split(":", 1)
    if sort == "bin":
        return shutil.which(name) is not None
    if ctypes.util.find_library(name.split(".so")[0]):
        return True
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    folders = [Path("/usr/lib") / multiarch, Path("/lib") / multiarch, Path("/usr/lib64"), Path("/usr/lib")]
    return any(any(folder.glob(f"lib{name}*")) for folder in folders if folder.is_dir())


def distribution_family(wanted: dict[str, object]) -> str:
    """Return which package manager's names to use: debian, fedora, arch, suse."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "debian"
    names = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    aliases = wanted["families"]
    if not isinstance(aliases, dict):
        raise SetupError("system-packages.json is damaged: check the file out again.")
    return next((str(aliases[name]) for name in names if name in aliases), "debian")


# --------------------------------------------------------------------------------------------------- environment


def make_environment(folder: Path) -> Path:
    """Create the virtual environment unless it is there and works; return its Python."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if python.exists() and runs(python):
        return python
    say(f"making the environment {folder}")
    try:
        import ensurepip  # noqa: F401 - Debian ships Python without it unless python3-venv is installed
    except ImportError:
        provide_venv_module()
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    if not runs(python):
        raise SetupError(f"The environment in {folder} does not work; delete the folder and run this again.")
    return python


def provide_venv_module() -> None:
    """Install Debian's python3-venv as root, or say how."""
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        say(f"installing {package}")
        subprocess.run(["apt-get", "-qq", "update"], check=True)
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", package], check=True)
        return
    raise SetupError(f"Python's venv module is missing. Install it (on Debian and Ubuntu: sudo apt install {package}).")


def runs(python: Path) -> bool:
    """Whether this Python starts and is the version that made the environment."""
    probe = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([str(python), "-c", probe], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return answer.returncode == 0 and answer.stdout.strip() == "{}.{}".format(*sys.version_info[:2])


def install(python: Path, developer: bool) -> None:
    """Install the application, unless a stamp says that exactly this was installed before."""
    stamp = python.parent.parent / ("bootstrap-dev.stamp" if developer else "bootstrap.stamp")
    wanted = fingerprint()
    if is_current(stamp, wanted) or (not developer and is_current(stamp.with_name("bootstrap-dev.stamp"), wanted)):
        return
    say("installing PlantSeg App and what it needs (a few minutes the first time, about 2 GB)")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    extras = "[dev]" if developer else ""
    subprocess.run([*pip, "-c", str(CONSTRAINTS), "-e", f"{ROOT}{extras}"], check=True, cwd=ROOT)
    if developer:
        # These compare results with ours; what they declare as dependencies is not needed for that and is huge.
        subprocess.run([*pip, "--no-deps", "-r", str(NO_DEPENDENCIES)], check=True, cwd=ROOT)
    stamp.write_text(wanted, encoding="utf-8")


def is_current(stamp: Path, wanted: str) -> bool:
    """Whether the stamp of an earlier installation says the same as would be written now."""
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted


def fingerprint() -> str:
    """Return what an installation depends on, as a hash: the pins, the metadata, the place."""
    digest = hashlib.sha256()
    for part in (ROOT / "pyproject.toml", CONSTRAINTS, NO_DEPENDENCIES):
        digest.update(part.read_bytes())
    digest.update(f"{ROOT}{sys.version}{platform.machine()}".encode())
    return digest.hexdigest()


# ------------------------------------------------------------------------------------------------------ commands


def program(python: Path) -> list[str]:
    """Return the command that starts the application of this environment."""
    return [str(python), "-m", "plantseg_app"]


def run_demo(python: Path, arguments: list[str]) -> int:
    """Segment the bundled sample and say where the results lie."""
    output = Path(arguments[0]) if arguments else ROOT / "demo-output"
    output.mkdir(parents=True, exist_ok=True)
    sample = ROOT / "resources" / "samples" / "sample_ovule.h5"
    labels, overlay, report = (output / name for name in ("cells.tif", "overlay.png", "report.html"))
    say("segmenting a confocal stack of an Arabidopsis ovule (32 x 128 x 128 voxels)")
    command = [*program(python), "segment", sample, "--output", labels, "--overlay", overlay, "--report", report]
    subprocess.run([str(part) for part in command], check=True)
    say("how well it matches the cells an expert drew:")
    subprocess.run([*program(python), "evaluate", str(labels), str(sample)], check=True)
    say("done. Open them with any browser, Fiji or napari:")
    for what, path in (("labels", labels), ("overlay picture", overlay), ("report", report)):
        print(f"    {what:16} {path.resolve()}")
    return 0


def run_app(python: Path, arguments: list[str]) -> int:
    """Open the window."""
    return subprocess.run([*program(python), *arguments], check=False).returncode


def run_tests(python: Path, arguments: list[str]) -> int:
    """Run linter, type checker, import contracts and tests; all of them, so that one run tells everything."""
    scripts = python.parent
    pytest = [str(python), "-m", "pytest", "-q", "--durations=15"]
    # The window is tested on a virtual screen where there is no real one, and in one process: windows share a keyboard.
    screen = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"] if needs_virtual_screen() else []
    checks: list[tuple[str, list[str]]] = [
        ("ruff", [str(scripts / "ruff"), "check"]),
        ("ruff format", [str(scripts / "ruff"), "format", "--check"]),
        ("import contracts", [str(scripts / "lint-imports")]),
        ("mypy", [str(python), "-m", "mypy"]),
    ]
    has_window = subprocess.run([str(python), "-c", "import PySide6.QtWidgets"], capture_output=True).returncode == 0
    if not has_window:
        say("the window is not tested: Qt does not start here; see the missing system libraries above")
        pytest += ["-p", "no:pytest-qt"]
    if arguments:
        checks.append(("tests", [*screen, *pytest, *arguments]))
    else:
        checks.append(("tests", [*pytest, *PARALLEL, *(f"--ignore={folder}" for folder in WINDOW)]))
    if has_window and not arguments:
        checks.append(("tests of the window", [*screen, *pytest, *WINDOW]))
    results = {}
    for name, command in checks:
        say(name)
        results[name] = subprocess.run(command, cwd=ROOT, check=False).returncode
    failed = [name for name, status in results.items() if status != 0]
    say(f"failed: {', '.join(failed)}" if failed else "all checks and tests passed")
    return 1 if failed else 0


def needs_virtual_screen() -> bool:
    """Whether tests of the window need Xvfb, and Xvfb is there."""
    has_screen = bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return sys.platform == "linux" and not has_screen and shutil.which("xvfb-run") is not None


if __name__ == "__main__":
    sys.exit(main())

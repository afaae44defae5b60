"""Tasks for the tests of the worker: a child process must be able to import them."""

from __future__ import annotations

import ctypes
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from plantseg_app.core.context import Context, Sketch
from plantseg_app.core.step import STEPS, Field, Port, Step
from plantseg_app.core.volume import Kind, Volume
from plantseg_app.run.desk import Desk, Task
from plantseg_app.run.tasks import RunWorkflow


@dataclasses.dataclass(frozen=True)
class Do(Task):
    """Does what is asked for."""

    what: str
    value: Any = None
    title: str = "Testing"

    def run(self, desk: Desk) -> Any:
        return getattr(self, self.what)(desk)

    def echo(self, desk: Desk) -> Any:
        return self.value

    def process(self, desk: Desk) -> int:
        return os.getpid()

    def loaded(self, desk: Desk) -> list[str]:
        return [name for name in ("torch", "skimage") if name in sys.modules]

    def ask_until_cancelled(self, desk: Desk) -> None:
        desk.message("begun")
        while True:
            desk.check()
            time.sleep(0.002)

    def hold_the_interpreter(self, desk: Desk) -> None:
        desk.message("begun")
        # PyDLL keeps the interpreter's lock, as a solver does that never returns.
        ctypes.PyDLL(None).sleep(600)

    def block_in_c(self, desk: Desk) -> None:
        desk.message("begun")
        ctypes.CDLL(None).sleep(600)

    def abort(self, desk: Desk) -> None:
        os.abort()

    def segfault(self, desk: Desk) -> None:
        ctypes.string_at(0)

    def killed(self, desk: Desk) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self, desk: Desk) -> None:
        os._exit(3)

    def too_much_memory(self, desk: Desk) -> None:
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2**28, hard))
        try:
            np.ones(2**30, np.float64)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

    def defect(self, desk: Desk) -> float:
        return 1 / self.value

    def unsendable(self, desk: Desk) -> Any:
        return lambda: None

    def unreadable(self, desk: Desk) -> Any:
        return Unreadable()

    def tell(self, desk: Desk) -> None:
        desk.tell({"loss": 0.5})
        for done in range(4):
            desk.progress("Counting", done, 4)

    def half_written_file(self, desk: Desk) -> None:
        from plantseg_app.io.atomic import replacing

        with replacing(Path(self.value)) as partial:
            partial.write_bytes(b"half")
            import tempfile

            Path(tempfile.mkdtemp(prefix="plantseg-app-")).joinpath("scratch.bin").write_bytes(b"x")
            desk.message("begun")
            ctypes.PyDLL(None).sleep(600)

    def tidy(self, process_id: int) -> None:
        from plantseg_app.io.atomic import clear_after

        if self.what == "half_written_file":
            clear_after(process_id, Path(self.value))


class Unreadable:
    def __reduce__(self) -> Any:
        return (_refuse, ())


def _refuse() -> None:
    if "worker_tasks_refuse" in sys.modules:
        raise ValueError("not here")


@dataclasses.dataclass(frozen=True)
class RunTestWorkflow(RunWorkflow):
    """Knows the steps below."""

    def run(self, desk: Desk) -> Any:
        make_steps()
        return super().run(desk)


def make_steps() -> None:
    """Fill the registry, once."""
    if "test-count" in STEPS._entries:
        return

    class Count(Step):
        """Adds one, and notes in a file that it ran."""

        id = "test-count"
        title = "Count"
        reads = {"image": Port((Kind.RAW,), "Any image.")}
        makes = Kind.RAW
        log: str = Field("", description="The file.")
        then: str = Field("", description="What to do in the end.")

        def run(self, inputs: Mapping[str, Volume], context: Context) -> Volume:
            with Path(self.log).open("a") as file:
                file.write("x")
            (context.scratch / "left.bin").write_bytes(b"x")
            data = inputs["image"].data
            grown = context.growing(Sketch("Counted", Kind.RAW, data.shape), data.shape, data.dtype)
            for z in context.track(range(len(data)), "Slices"):
                grown.data[z] = data[z] + 1
                grown.tell(((z, z + 1), (0, data.shape[1]), (0, data.shape[2])))
            if self.then == "hang":
                context.message("begun")
                ctypes.PyDLL(None).sleep(600)
            if self.then == "abort":
                os.abort()
            if self.then == "fail":
                raise ZeroDivisionError
            return inputs["image"].replace(data=grown.data)

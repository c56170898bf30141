"""A run in a process of its own that dies, as by kill -9, at a moment that it has not met before.

A moment is the start of a stage, or one before a file takes its name, or before the audit log is
opened. Where no new moment is left, the run goes through.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
from pathlib import Path

from liftwright.campaign import RunRequest, StageProgress, Workspace

# One process imports all this once; the processes of the runs are forked from it.
_LOADED = ("duckdb", "onnxruntime", "openai", "liftwright.campaign", "liftwright.campaign.pipeline")
_SECONDS = 90
_ENGINE = re.compile(r"^data/engine-[^/]+/")


def met_already(file: Path, *moments: tuple[str, str, str, int]) -> Path:
    """A new record of moments, those given held for met; gives the file."""
    file.write_text("".join(json.dumps(moment) + "\n" for moment in moments))
    return file


class Moments:
    """The moments of one run; `met` holds those that earlier processes died at."""

    def __init__(self, root: Path, met: Path) -> None:
        self._root, self._met_file = str(root.resolve()), met
        self._met = {tuple(json.loads(line)) for line in met.read_text().splitlines()}
        self._counts: dict[tuple[str, str, str], int] = {}
        self._stage = ""

    def tell(self, step: StageProgress) -> None:
        """A step of the run."""
        if step.state == "started":
            self._stage = step.stage
            self._at("start", step.stage)

    def hear(self, name: str, arguments: tuple[object, ...]) -> None:
        """What the interpreter is about to do."""
        if name == "os.rename":
            path = os.path.realpath(os.fsdecode(str(arguments[1])))
            if path.startswith(self._root):
                name = os.path.relpath(path, self._root)
                # What the engine sets aside lies in a folder named by its process: a new one each.
                self._at("rename", _ENGINE.sub("data/engine/", name))
        elif name == "open" and str(arguments[0]).endswith("safety_audit.log"):
            self._at("open", "safety_audit.log")

    def _at(self, what: str, name: str) -> None:
        place = (self._stage, what, name)
        seen = self._counts[place] = self._counts.get(place, 0) + 1
        moment = (*place, seen)
        if moment in self._met:
            return
        self._met.add(moment)
        with self._met_file.open("a") as file:
            file.write(json.dumps(moment) + "\n")
        os.kill(os.getpid(), signal.SIGKILL)


def _run(root: str, request: RunRequest, met: str | None) -> None:
    moments = Moments(Path(root), Path(met)) if met else None
    if moments:
        sys.addaudithook(moments.hear)
    outcome = Workspace(root).run(request, notify=moments.tell if moments else lambda _: None)
    sys.exit(outcome.exit_status)


def start(
    root: Path, request: RunRequest | None = None, *, met: Path | None = None
) -> multiprocessing.process.BaseProcess:
    """Begin a run in a process of its own; with `met` it dies at the next new moment."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_LOADED))
    asked = (str(root), request or RunRequest(), str(met) if met else None)
    process = context.Process(target=_run, args=asked)
    process.start()
    return process


def ended(process: multiprocessing.process.BaseProcess) -> int:
    """Wait for the process; its exit status, -9 where it was killed."""
    process.join(_SECONDS)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"the run did not end within {_SECONDS} s")
    return process.exitcode

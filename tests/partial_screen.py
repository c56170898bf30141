"""Screeners from a third party, most of which reply too little.

They stand under the entry point group `liftwright.screen`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.model import Finding, Identity

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.providers import AdapterContext

NAMES = ("empty", "partial", "twice", "sometimes", "medium")
_CATEGORIES = ("hate", "violence", "self_harm", "sexual")
WORD_FILE = "word.txt"


class PartialScreen:
    """Finds no harm, and says so for some categories only.

    Args:
        name: `empty` says nothing, `partial` leaves the last category out, `twice` names the first
            one twice, `sometimes` leaves one out of texts that hold the word in `word.txt`;
            `medium` finds severity 4 of each.
    """

    metered = False

    def __init__(self, name: str, root: Path) -> None:
        self.identity = Identity(provider=name, model="too-little", version="1")
        self._name = name
        file = root / WORD_FILE
        self._word = file.read_text(encoding="utf-8") if file.is_file() else None

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        severity = 4 if self._name == "medium" else 0
        found = tuple(
            Finding(check="safety", category=category, severity=severity, score=0.0)
            for category in _CATEGORIES
        )
        if self._name == "sometimes":
            return found[:3] if self._word is not None and self._word in request else found
        if self._name == "medium":
            return found
        return {"empty": (), "partial": found[:3], "twice": (found[0], *found[:3])}[self._name]


def make_empty(context: AdapterContext[None]) -> PartialScreen:
    return PartialScreen("empty", context.root)


def make_partial(context: AdapterContext[None]) -> PartialScreen:
    return PartialScreen("partial", context.root)


def make_twice(context: AdapterContext[None]) -> PartialScreen:
    return PartialScreen("twice", context.root)


def make_sometimes(context: AdapterContext[None]) -> PartialScreen:
    return PartialScreen("sometimes", context.root)


def make_medium(context: AdapterContext[None]) -> PartialScreen:
    return PartialScreen("medium", context.root)


def register(folder: Path) -> Path:
    """Lay down what an installed package would: its entry points; gives the folder for the path."""
    package = folder / "liftwright_partial-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: liftwright-partial\n")
    lines = [f"{name} = partial_screen:make_{name}" for name in NAMES]
    text = "\n".join(["[liftwright.screen]", *lines, ""])
    (package / "entry_points.txt").write_text(text)
    return folder

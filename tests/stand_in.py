"""Adapters from a third party: screeners of several kinds, and a search service.

They are found under the entry point groups `liftwright.screen` and `liftwright.search`, as any
third party's adapters are.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from liftwright.errors import ProviderUnavailable
from liftwright.model import CATEGORIES, Finding, Identity
from liftwright.providers import SearchAdapter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import NoReturn

    from liftwright.providers import AdapterContext

NAME = "stand-in"
WORD_FILE = "word.txt"
_ORDERS = "screener.json"
_ASKED = "screened.log"
_BATCHES = "screened.txt"
_ENTRY_POINTS = """[liftwright.screen]
stand-in = stand_in:make_screener
counted = stand_in:make_counted
forgetful = stand_in:make_forgetful
empty = stand_in:make_empty
partial = stand_in:make_partial
sometimes = stand_in:make_sometimes
medium = stand_in:make_medium

[liftwright.search]
service = stand_in:make_service
"""


def _findings(severity: int = 0, score: float = 0.0) -> tuple[Finding, ...]:
    return tuple(
        Finding(check="safety", category=category, severity=severity, score=score)
        for category in CATEGORIES
    )


class StandInScreen:
    """Answers at once or fails, as a file in the workspace says (see `order`)."""

    def __init__(self, root: Path) -> None:
        file = root / _ORDERS
        self._orders = json.loads(file.read_text()) if file.is_file() else {}
        self._asked = root / _ASKED
        self.metered = bool(self._orders.get("metered"))
        self.identity = Identity(
            provider=NAME, model="words", version=self._orders.get("version", "1")
        )

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        with self._asked.open("a", encoding="utf-8") as file:
            file.write(json.dumps(request) + "\n")
        if any(words in request for words in self._orders.get("down", ())):
            raise ProviderUnavailable("the screener is away")
        harmful = any(words in request for words in self._orders.get("block", ()))
        return _findings(6, 0.9) if harmful else _findings(0, 0.1)


def order(root: Path, **orders: object) -> None:
    """Set what the workspace's screener does: `down` and `block` words, `metered`, `version`."""
    (root / _ORDERS).write_text(json.dumps(orders))


def asked(root: Path) -> list[str]:
    """The texts that the workspace's screener was asked for."""
    file = root / _ASKED
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


class CountedScreen:
    """Takes many texts at once: `hate 0.7` scores 0.7 for hate, with severity 6 from 0.5 on.

    Args:
        forgetful: whether the last text of a call is left out.
    """

    metered = False
    identity = Identity(provider="counted", model="numbers", version="1")

    def __init__(self, root: Path, *, forgetful: bool = False) -> None:
        self._batches, self._forgetful = root / _BATCHES, forgetful

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        return self.many((request,))[0]

    def many(self, texts: tuple[str, ...]) -> tuple[tuple[Finding, ...], ...]:
        with self._batches.open("a", encoding="utf-8") as file:
            file.write(f"{len(texts)}\n")
        kept = texts[:-1] if self._forgetful else texts
        return tuple(tuple(_scored(text, category) for category in CATEGORIES) for text in kept)


def _scored(text: str, category: str) -> Finding:
    found = re.search(rf"{category} (\d\.\d+)", text)
    score = float(found[1]) if found else 0.0
    severity = 6 if score >= 0.5 else 0
    return Finding(check="safety", category=category, severity=severity, score=score)


def batches(root: Path) -> list[int]:
    """How many texts each call to the workspace's counted screener held."""
    file = root / _BATCHES
    return [int(line) for line in file.read_text().split()] if file.is_file() else []


class PlainScreen:
    """Replies without looking: in full, or too little.

    Args:
        reply: what is replied to a text.
    """

    metered = False

    def __init__(self, name: str, reply: Callable[[str], tuple[Finding, ...]]) -> None:
        self.identity = Identity(provider=name, model="plain", version="1")
        self._reply = reply

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        return self._reply(request)


def make_screener(context: AdapterContext[None]) -> StandInScreen:
    return StandInScreen(context.root)


def make_counted(context: AdapterContext[None]) -> CountedScreen:
    return CountedScreen(context.root)


def make_forgetful(context: AdapterContext[None]) -> CountedScreen:
    return CountedScreen(context.root, forgetful=True)


def make_empty(_: AdapterContext[None]) -> PlainScreen:
    return PlainScreen("empty", lambda _: ())


def make_partial(_: AdapterContext[None]) -> PlainScreen:
    return PlainScreen("partial", lambda _: _findings()[:3])


def make_medium(_: AdapterContext[None]) -> PlainScreen:
    return PlainScreen("medium", lambda _: _findings(4))


def make_sometimes(context: AdapterContext[None]) -> PlainScreen:
    """Leaves a category out of texts that hold the word in `word.txt`."""
    word = (context.root / WORD_FILE).read_text(encoding="utf-8")
    return PlainScreen("sometimes", lambda text: _findings()[: 3 if word in text else 4])


def make_service(_: AdapterContext[None]) -> SearchAdapter:
    """A search service whose only index must not be written to."""
    return SearchAdapter(index=_refuse, search=_refuse)


def _refuse(*_: object, **__: object) -> NoReturn:
    message = "the service's index was asked for"
    raise AssertionError(message)


def register(folder: Path) -> Path:
    """Write what an installed package would: its entry points; gives the folder for the path."""
    package = folder / "liftwright_stand_in-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: liftwright-stand-in\n")
    (package / "entry_points.txt").write_text(_ENTRY_POINTS)
    return folder

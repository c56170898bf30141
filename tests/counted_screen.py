"""A screener from a third party that takes many texts at once, and scores by a number they hold.

It stands under the entry point group `liftwright.screen`, as any third party's adapter would; and
beside it, under `liftwright.search`, a search service whose only index must not be written to.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from liftwright.model import Finding, Identity
from liftwright.providers import SearchAdapter

if TYPE_CHECKING:
    from pathlib import Path
    from typing import NoReturn

    from liftwright.providers import AdapterContext

NAMES = ("counted", "forgetful")
SERVICE = "service = counted_screen:make_service"
_CALLS = "screened.txt"
_CATEGORIES = ("hate", "violence", "self_harm", "sexual")


class CountedScreen:
    """`hate 0.7` scores 0.7 for hate and 0 for the others; severity 6 from 0.5 on.

    Args:
        calls: a line goes there for each call.
        forgetful: whether the last text of a call is left out.
    """

    metered = False

    def __init__(self, calls: Path, *, forgetful: bool = False) -> None:
        self.identity = Identity(provider="counted", model="numbers", version="1")
        self._calls, self._forgetful = calls, forgetful

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        return self.many((request,))[0]

    def many(self, texts: tuple[str, ...]) -> tuple[tuple[Finding, ...], ...]:
        with self._calls.open("a", encoding="utf-8") as file:
            file.write(f"{len(texts)}\n")
        kept = texts[:-1] if self._forgetful else texts
        return tuple(tuple(_find(text, category) for category in _CATEGORIES) for text in kept)


def _find(text: str, category: str) -> Finding:
    found = re.search(rf"{category} (\d\.\d+)", text)
    score = float(found[1]) if found else 0.0
    severity = 6 if score >= 0.5 else 0
    return Finding(check="safety", category=category, severity=severity, score=score)


def make_counted(context: AdapterContext[None]) -> CountedScreen:
    return CountedScreen(context.root / _CALLS)


def make_forgetful(context: AdapterContext[None]) -> CountedScreen:
    return CountedScreen(context.root / _CALLS, forgetful=True)


def make_service(context: AdapterContext[None]) -> SearchAdapter:
    del context
    return SearchAdapter(index=_refuse, search=_refuse)


def _refuse(*_: object, **__: object) -> NoReturn:
    message = "the service's index was asked for"
    raise AssertionError(message)


def calls(root: Path) -> list[int]:
    """How many texts each call to the workspace's screener held."""
    file = root / _CALLS
    return [int(line) for line in file.read_text().split()] if file.is_file() else []


def register(folder: Path) -> Path:
    """Lay down what an installed package would: its entry points; gives the folder for the path."""
    package = folder / "liftwright_counted-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: liftwright-counted\n")
    lines = [f"{name} = counted_screen:make_{name}" for name in NAMES]
    (package / "entry_points.txt").write_text(
        "\n".join(["[liftwright.screen]", *lines, "[liftwright.search]", SERVICE, ""])
    )
    return folder

"""A screener from a third party, that answers at once or fails, as a file in the workspace says.

It stands under the entry point group `liftwright.screen`, as any third party's adapter would.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from liftwright.errors import ProviderUnavailable
from liftwright.model import Finding, Identity

if TYPE_CHECKING:
    from pathlib import Path

    from liftwright.providers import AdapterContext

NAME = "stand-in"
_ORDERS = "screener.json"
_ASKED = "screened.log"
_CATEGORIES = ("hate", "violence", "self_harm", "sexual")


class StandInScreen:
    """Finds no harm, but severity 6 in a text that holds a word it was told to block."""

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
        return tuple(
            Finding(
                check="safety",
                category=category,
                severity=6 if harmful else 0,
                score=0.9 if harmful else 0.1,
            )
            for category in _CATEGORIES
        )


def make_screener(context: AdapterContext[None]) -> StandInScreen:
    """The entry point."""
    return StandInScreen(context.root)


def order(root: Path, **orders: object) -> None:
    """Tell the workspace's screener what to do: `down` and `block` words, `metered`, `version`."""
    (root / _ORDERS).write_text(json.dumps(orders))


def asked(root: Path) -> list[str]:
    """The texts that the workspace's screener was asked for."""
    file = root / _ASKED
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def register(folder: Path) -> Path:
    """Lay down what an installed package would: its entry point; gives the folder for the path."""
    package = folder / "liftwright_stand_in-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: liftwright-stand-in\n")
    (package / "entry_points.txt").write_text(
        f"[liftwright.screen]\n{NAME} = stand_in:make_screener\n"
    )
    return folder

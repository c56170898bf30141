"""What an adapter's calls used, told while they are under way.

A service can charge for a reply that is of no use: a text that was cut off, a draft that its own
filter stopped, a batch whose vectors came back broken. So an adapter tells what a reply used as
soon as the service has said so, before it judges the reply; whoever pays listens around the call.
"""

from __future__ import annotations

import contextlib
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from liftwright.model import Usage

_RECORD_CHARACTERS = 1_000

_LISTENING: ContextVar[list[Usage] | None] = ContextVar("liftwright_usage", default=None)


def report_usage(usage: Usage) -> None:
    """Tell what a service charges for; nobody need be listening."""
    heard = _LISTENING.get()
    if heard is not None:
        heard.append(usage)


@contextlib.contextmanager
def metering() -> Iterator[list[Usage]]:
    """Within the block, what is told in this context goes into the list that is given.

    A block within a block has a list of its own: a search that embeds its query pays for the
    search, the embedding for itself.
    """
    heard: list[Usage] = []
    outer = _LISTENING.set(heard)
    try:
        yield heard
    finally:
        _LISTENING.reset(outer)


def text_records(text: str) -> int:
    """How many text records a text is: one for each 1,000 characters that it begins, at least one.

    Source: Azure AI Content Safety, which charges by records of up to 1,000 Unicode characters.
    """
    return max(1, -(-len(text) // _RECORD_CHARACTERS))

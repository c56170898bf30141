"""Calls a remote screener for all parts concurrently, before the messages are decided on."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from liftwright.calls.concurrency import run_concurrently
from liftwright.errors import ProviderRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from liftwright.agents.safety.message_parts import Part
    from liftwright.model import Finding, Identity
    from liftwright.ports import Screen

    Findings = tuple[Finding, ...]
    Reply = Findings | Exception


def screen_concurrently(
    parts: Iterable[Part],
    screen: Screen,
    workers: int,
    *,
    earlier: Callable[[str], Findings | None] = lambda _: None,
) -> Screen:
    """Screen all parts concurrently; returns a screener that replays the replies.

    Each distinct text is screened once. A local screener is returned as it is: it already uses all
    processors, or takes many texts in one call.

    Args:
        parts: the parts of one or more messages.
        screen: the screener. An error for a part is raised when that part is requested.
        workers: the maximum number of concurrent calls.
        earlier: the reply to a text that was screened before; None if there is none.

    If the screener refuses all requests (a wrong key), texts that have not been sent yet are not
    sent, and get the same error.
    """
    if not screen.metered:
        return screen
    texts = list(dict.fromkeys(part.text for part in parts))
    refusals: list[ProviderRefused] = []

    def reply(text: str) -> Reply:
        known = earlier(text)
        if known is not None:
            return known
        if refusals:
            return refusals[0]
        try:
            return screen(text)
        except Exception as error:  # noqa: BLE001 - blocks only the messages with this part
            if isinstance(error, ProviderRefused) and error.affects_all_requests:
                refusals.append(error)
            return error

    replies = run_concurrently([partial(reply, text) for text in texts], workers)
    return CompletedScreen(screen, dict(zip(texts, replies, strict=True)))


class CompletedScreen:
    """A screener that replays stored replies."""

    def __init__(self, screen: Screen, replies: Mapping[str, Reply]) -> None:
        self._screen, self._replies = screen, replies

    @property
    def identity(self) -> Identity:
        """The identity of the screener."""
        return self._screen.identity

    @property
    def metered(self) -> bool:
        """Whether the screener is metered."""
        return self._screen.metered

    def __call__(self, request: str, /) -> Findings:
        """The stored reply; raises a stored error."""
        reply = self._replies[request]
        if isinstance(reply, Exception):
            raise reply
        return reply

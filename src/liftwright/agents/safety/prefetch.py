"""Asking a screener that is far away for all parts at once, before the messages are decided on."""

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
    """A screener that has looked at the parts already, each text once, so many at a time.

    One on this machine is given back as it is: it has all processors already, or takes many
    texts in one call.

    Args:
        parts: those of one message or of many.
        screen: the screener. What it raises for a part is raised when that part is asked for.
        workers: parts under way at a time, at most.
        earlier: the reply to a text that was screened before; None where there is none.

    Where the screener refuses whatever it is asked (a wrong key), the texts that are
    not under way by then are not sent: the same is raised for them.
    """
    if not screen.metered:
        return screen
    texts = list(dict.fromkeys(part.text for part in parts))
    refusals: list[ProviderRefused] = []

    def reply(text: str) -> Reply:
        before = earlier(text)
        if before is not None:
            return before
        if refusals:
            return refusals[0]
        try:
            return screen(text)
        except Exception as error:  # noqa: BLE001 - it blocks the messages with this part alone
            if isinstance(error, ProviderRefused) and error.affects_all_requests:
                refusals.append(error)
            return error

    replies = run_concurrently([partial(reply, text) for text in texts], workers)
    return _Asked(screen, dict(zip(texts, replies, strict=True)))


class _Asked:
    """A screener whose replies are there."""

    def __init__(self, screen: Screen, replies: Mapping[str, Reply]) -> None:
        self._screen, self._replies = screen, replies

    @property
    def identity(self) -> Identity:
        return self._screen.identity

    @property
    def metered(self) -> bool:
        return self._screen.metered

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        reply = self._replies[request]
        if isinstance(reply, Exception):
            raise reply
        return reply

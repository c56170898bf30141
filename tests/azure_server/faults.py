"""Scripted faults: one per request, in order."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

FaultKind = Literal[
    "status", "slow", "drip", "reset", "cut", "malformed", "html", "wrong_schema", "empty"
]

# A service's own error message, which must never reach our messages or logs.
SERVER_WORDS = "SERVER WORDS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens to one request instead of the usual answer.

    Attributes:
        kind: `status` answers with an error; `slow` answers as usual after `seconds`, `drip` with a
            pause of `seconds` before each byte; `reset` ends the connection; `cut` ends it
            half-way through the usual answer; `malformed` is broken JSON, `html` a page,
            `wrong_schema` JSON of another shape, `empty` no body at all.
        status: of the answer; 0 is 200, and 500 for `status`.
        body: of `status`, in place of the usual error.
    """

    kind: FaultKind
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    body: object = None

    @property
    def keeps_the_answer(self) -> bool:
        """Whether the request is processed and only the response fails."""
        return self.kind in {"slow", "drip", "cut"}

    def answer(self) -> tuple[int, str, object]:
        """Status, content type and body (bytes or JSON) of a fault that has its own answer.

        Raises:
            KeyError: for those that have none.
        """
        code = str(self.status or 500)
        error = {"error": {"code": code, "message": SERVER_WORDS, "type": "fault"}}
        return {
            "status": (self.status or 500, "application/json", self.body or error),
            "malformed": (self.status or 200, "application/json", b'{"id": "1", "outp'),
            "html": (self.status or 200, "text/html", b"<html><body>SERVER WORDS</body></html>"),
            "wrong_schema": (self.status or 200, "application/json", {"unexpected": [1, 2]}),
            "empty": (self.status or 200, "application/json", b""),
        }[self.kind]


class Script:
    """The remaining faults by route; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._routes: list[tuple[str, Iterator[Fault | None]]] = []

    def add(self, route_prefix: str, faults: Iterable[Fault | None]) -> None:
        """Give each of the next requests under the prefix a fault; None answers as usual.

        A prefix that begins with `*` is the end of a path.
        """
        with self._lock:
            self._routes.append((route_prefix, iter(faults)))

    def next(self, path: str) -> Fault | None:
        """The fault of this request, if any."""
        with self._lock:
            for prefix, faults in self._routes:
                ends = prefix.startswith("*") and path.endswith(prefix[1:])
                if ends or path.startswith(prefix):
                    for fault in faults:
                        return fault
        return None

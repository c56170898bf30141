"""A port as the agents get it: with retries around it and, where it is metered, the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.calls import Calls
    from liftwright.domain import Identity
    from liftwright.ledger import Ledger, Terms

Q = TypeVar("Q", contravariant=True)  # noqa: PLC0105 - the request
R = TypeVar("R", covariant=True)  # noqa: PLC0105 - the reply


class Asked(Protocol[Q, R]):
    """A port with one request and one reply."""

    @property
    def identity(self) -> Identity:
        """What would change the reply."""
        ...

    @property
    def metered(self) -> bool:
        """Whether a call costs money or leaves the machine."""
        ...

    def __call__(self, request: Q, /) -> R:
        """The reply."""
        ...


class Guarded(Generic[Q, R]):
    """Asks a port through `calls` and, where it is metered, through the ledger.

    Args:
        port: the adapter.
        terms: the port's name, and how its replies are kept and paid.
        calls: the retry layer.
        ledger: the memory of paid calls, made when the first one is asked for.
    """

    def __init__(
        self,
        port: Asked[Q, R],
        terms: Terms[R],
        calls: Calls,
        ledger: Callable[[], Ledger],
    ) -> None:
        self._port = port
        self._terms = terms
        self._calls = calls
        self._ledger = ledger

    @property
    def identity(self) -> Identity:
        """The port's own."""
        return self._port.identity

    @property
    def metered(self) -> bool:
        """The port's own."""
        return self._port.metered

    def __call__(self, request: Q, /) -> R:
        """The port's reply, remembered or asked for."""

        def ask() -> R:
            return self._calls.make(self._terms.port, lambda: self._port(request))

        if not self._port.metered:
            return ask()
        return self._ledger().remember(self._terms, self._port.identity, request, ask)

"""What travels with one call through the layers around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from liftwright.ports import Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.calls.ledger import Ledger
    from liftwright.model import Usage

    Ask: TypeAlias = Callable[[Any, "CallContext"], Any]
    """A layer with all that it wraps: the reply to a request."""


@dataclass(slots=True, kw_only=True)
class CallContext:
    """One call: who makes it, and what its attempts have come to so far.

    Attributes:
        service: the port that is called.
        tokens: what one attempt may use; an estimate, for limits per minute.
        nested: whether an adapter makes it within another call, which holds a slot already.
        low_priority: whether it acquires a slot only where no other call waits for one.
        ledger: remembers and pays for the call; None outside a run.
        key, encode: of the ledger's row, and how a reply becomes JSON values; set by the cache.
        before_retry: reserves for one more attempt; set by the budget.
        attempts: requests made.
        usage, cost_usd: what they were charged; None and 0 where nothing was.
    """

    service: str
    tokens: int = 0
    nested: bool = False
    low_priority: bool = False
    ledger: Ledger | None = None
    span: Span = field(default_factory=lambda: Span(name="call"))
    key: str = ""
    encode: Callable[[Any], object] = lambda reply: reply
    before_retry: Callable[[], None] = lambda: None
    attempts: int = 0
    usage: Usage | None = None
    cost_usd: float = 0.0

    def charge(self, usage: Usage, cost_usd: float) -> None:
        """Add what an attempt was charged."""
        self.usage = usage if self.usage is None else self.usage + usage
        self.cost_usd += cost_usd

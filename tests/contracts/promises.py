"""What every port promises, whatever it does: an identity, a meter, frozen replies, threads."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from liftwright.domain import Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

THREADS = 8


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way in which an adapter fails.

    Attributes:
        arrange: makes the next call fail, and gives the port to call.
        error: what the call must raise.
    """

    arrange: Callable[[], Any]
    error: type[Exception]


@dataclass(frozen=True, kw_only=True)
class Rig:
    """An adapter under its contract.

    Attributes:
        make: a new instance, configured the same each time.
        others: instances that would answer otherwise, by what is different about them.
        metered: whether its calls cost money or leave the machine.
        faults: how it can be made to fail, by name.
        calls: how many calls reached the service; None where there is none.
        secret: what must never be shown.
    """

    make: Callable[[], Any]
    others: dict[str, Callable[[], Any]] = field(default_factory=dict)
    metered: bool = False
    faults: dict[str, Fault] = field(default_factory=dict)
    calls: Callable[[], int] | None = None
    secret: str = ""


def check_identity(rig: Rig) -> None:
    """Equal for an equal adapter, at any time; another one for what would answer otherwise."""
    first, second = rig.make(), rig.make()
    assert isinstance(first.identity, Identity)
    assert first.identity.provider
    assert first.identity == second.identity
    assert fingerprint(first.identity) == fingerprint(second.identity)
    others = {name: make().identity for name, make in rig.others.items()}
    assert first.identity not in others.values()
    assert len(set(others.values())) == len(others), "two different adapters share an identity"


def check_meter(rig: Rig) -> None:
    """The ledger believes this flag: paid or remote calls must carry it."""
    assert rig.make().metered is rig.metered


def check_frozen(reply: object) -> None:
    """A reply is a record, and nobody can change it after the ledger has kept it."""
    assert dataclasses.is_dataclass(reply)
    name = dataclasses.fields(reply)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(reply, name, getattr(reply, name))


def in_threads(call: Callable[[Any], Any], requests: Sequence[Any]) -> list[Any]:
    """The replies to many requests at once, in the order of the requests."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, requests))

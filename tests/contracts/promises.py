"""What every port promises, whatever it does: an identity, a meter, frozen replies, threads."""

from __future__ import annotations

import dataclasses
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from azure_server.faults import SERVER_WORDS
from azure_server.faults import Fault as ServerFault
from liftwright.errors import ModelBroken, ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from azure_server.server import AzureServer

THREADS = 8

# What people and programs write, and no adapter may stumble over.
ODD_TEXTS = {
    "empty": "",
    "blank": "  \n\t ",
    "emoji": "Zelte ⛺ für 👩‍👩‍👧 und 🏔️",
    "right to left": "مرحبا بكم في متجرنا, שלום",
    "control": "a\x00b\x1b[31m",
    "half a character": "half an emoji \ud83d here",
    "100 kB": "A jacket that keeps the rain out. " * 3000,
}

# How a service over the wire goes wrong, and what that amounts to: None is either of the two.
WIRE_FAULTS: dict[str, tuple[ServerFault, type[ProviderError] | None]] = {
    "stranger": (ServerFault(kind="status", status=401), ProviderRefused),
    "forbidden": (ServerFault(kind="status", status=403), ProviderRefused),
    "not there": (ServerFault(kind="status", status=404), ProviderRefused),
    "overload": (ServerFault(kind="status", status=429), ProviderUnavailable),
    "server fault": (ServerFault(kind="status", status=500), ProviderUnavailable),
    "out of service": (ServerFault(kind="status", status=503), ProviderUnavailable),
    "lost connection": (ServerFault(kind="reset"), ProviderUnavailable),
    "cut answer": (ServerFault(kind="cut"), ProviderUnavailable),
    "broken JSON": (ServerFault(kind="malformed"), None),
    "page": (ServerFault(kind="html"), None),
    "other answer": (ServerFault(kind="wrong_schema"), None),
    "no answer": (ServerFault(kind="empty"), None),
}


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


def wire_faults(
    server: AzureServer, route_prefix: str, make: Callable[[], Any]
) -> dict[str, Fault]:
    """The faults of a service under a route, for the rig of its adapter."""

    def arranging(fault: ServerFault) -> Callable[[], Any]:
        def arrange() -> Any:
            server.script(route_prefix, [fault])
            return make()

        return arrange

    return {
        name: Fault(arrange=arranging(fault), error=error or ProviderError)
        for name, (fault, error) in WIRE_FAULTS.items()
    }


def check_faults(rig: Rig, request: Any, *canaries: str) -> None:
    """Whatever fails leaves as one of two errors, in our words, after one attempt.

    Args:
        rig: whose faults are tried, one after the other.
        request: what is asked for.
        canaries: parts of the request, which no error may repeat.
    """
    hidden = (SERVER_WORDS, *canaries, *((rig.secret,) if rig.secret else ()))
    for name, fault in rig.faults.items():
        port = fault.arrange()
        before = rig.calls() if rig.calls else 0
        with pytest.raises(fault.error) as caught:
            port(request)
        assert isinstance(caught.value, ProviderUnavailable | ProviderRefused | ModelBroken), name
        told = str(caught.value)
        assert told.strip(), name
        assert not [canary for canary in hidden if canary in told], name
        assert not rig.secret or rig.secret not in "".join(
            traceback.format_exception(caught.value)
        ), name
        assert rig.calls is None or rig.calls() - before == 1, f"{name}: asked again by itself"


def in_threads(call: Callable[[Any], Any], requests: Sequence[Any]) -> list[Any]:
    """The replies to many requests at once, in the order of the requests."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, requests))

"""What every port promises: an identity, a meter, errors in our words, threads."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from azure_server.faults import SERVER_WORDS
from azure_server.faults import Fault as ServerFault
from liftwright.errors import ModelBroken, ProviderError, ProviderRefused, ProviderUnavailable
from liftwright.model import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from azure_server.server import AzureServer

THREADS = 8

# Texts that people and programs write, and every adapter must take.
ODD_TEXTS = {
    "empty": "",
    "blank": "  \n\t ",
    "emoji": "Zelte ⛺ für 👩‍👩‍👧 und 🏔️",
    "right to left": "مرحبا بكم في متجرنا, שלום",
    "control": "a\x00b\x1b[31m",
    "half a character": "half an emoji \ud83d here",
    "100 kB": "A jacket that keeps the rain out. " * 3000,
}

RETRY_AFTER_SECONDS = 7.0


def _status(code: int) -> ServerFault:
    return ServerFault(kind="status", status=code, headers={"Retry-After": "7"})


# How a service over the wire fails, and the error that follows; None is either of the two.
WIRE_FAULTS: dict[str, tuple[ServerFault, type[ProviderError] | None]] = {
    **{str(code): (_status(code), ProviderRefused) for code in (400, 401, 403, 404, 410, 413)},
    **{
        str(code): (_status(code), ProviderUnavailable)
        for code in (408, 409, 429, 500, 502, 503, 504)
    },
    "lost connection": (ServerFault(kind="reset"), ProviderUnavailable),
    "cut answer": (ServerFault(kind="cut"), ProviderUnavailable),
    "too late": (ServerFault(kind="slow", seconds=60), ProviderUnavailable),
    "broken JSON": (ServerFault(kind="malformed"), ProviderUnavailable),
    "page": (ServerFault(kind="html"), ProviderUnavailable),
    "no answer": (ServerFault(kind="empty"), ProviderUnavailable),
    "other answer": (ServerFault(kind="wrong_schema"), None),
}
HASTY_SECONDS = 0.3
"""The time limit of a call that must exceed it."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A way in which an adapter fails.

    Attributes:
        arrange: makes the next call fail, and gives the port to call.
        error: what the call must raise.
        sent: what the service does, where there is one.
    """

    arrange: Callable[[], Any]
    error: type[Exception]
    sent: ServerFault | None = None


@dataclass(frozen=True, kw_only=True)
class Rig:
    """An adapter under its contract.

    Attributes:
        make: a new instance, configured the same each time.
        others: instances that may answer differently, by what is different.
        metered: whether its calls cost money or leave the machine.
        faults: how it can be made to fail, by name.
        calls: counts the requests that reached the service; None without one.
        secret: must never be shown.
    """

    make: Callable[[], Any]
    others: dict[str, Callable[[], Any]] = field(default_factory=dict)
    metered: bool = False
    faults: dict[str, Fault] = field(default_factory=dict)
    calls: Callable[[], int] | None = None
    secret: str = ""


def check_port(rig: Rig) -> None:
    """One identity per answer that may be given, the meter's flag, and no secret shown."""
    first, second = rig.make(), rig.make()
    assert first.metered is rig.metered
    assert not rig.secret or rig.secret not in f"{first!r} {vars(first)!r} {first.identity!r}"
    assert first.identity.provider
    assert first.identity == second.identity
    assert fingerprint(first.identity) == fingerprint(second.identity)
    others = {name: make().identity for name, make in rig.others.items()}
    assert first.identity not in others.values()
    assert len(set(others.values())) == len(others), "two different adapters share an identity"


def wire_faults(
    server: AzureServer, route_prefix: str, make: Callable[..., Any]
) -> dict[str, Fault]:
    """The faults of a service under a route, for the rig of its adapter.

    Args:
        server: of the service.
        route_prefix: where its requests meet the faults.
        make: the adapter; takes its time limit as `seconds`.
    """

    def arranging(fault: ServerFault) -> Callable[[], Any]:
        def arrange() -> Any:
            port = make(seconds=HASTY_SECONDS) if fault.kind == "slow" else make()
            server.script(route_prefix, [fault])
            return port

        return arrange

    return {
        name: Fault(arrange=arranging(fault), error=error or ProviderError, sent=fault)
        for name, (fault, error) in WIRE_FAULTS.items()
    }


def check_faults(rig: Rig, request: Any, *canaries: str) -> None:
    """Every fault becomes a provider error in our words after one attempt; then all is well.

    Args:
        rig: its faults are tried one after the other.
        request: of each call.
        canaries: parts of the request that no error may repeat.
    """
    hidden = (SERVER_WORDS, *canaries, *((rig.secret,) if rig.secret else ()))
    for name, fault in rig.faults.items():
        port = fault.arrange()
        before = rig.calls() if rig.calls else 0
        with pytest.raises(fault.error) as caught:
            port(request)
        assert isinstance(caught.value, ProviderUnavailable | ProviderRefused | ModelBroken), name
        message = str(caught.value)
        assert message.strip(), name
        assert not [canary for canary in hidden if canary in message], name
        assert not rig.secret or rig.secret not in "".join(
            traceback.format_exception(caught.value)
        ), name
        made = rig.calls() - before if rig.calls else 1
        # The time limit may pass before the request is sent.
        late = fault.sent is not None and fault.sent.kind == "slow"
        assert made == 1 or (late and made == 0), f"{name}: {made} attempts"
        if isinstance(caught.value, ProviderUnavailable):
            has_header = fault.sent is not None and fault.sent.headers
            expected = RETRY_AFTER_SECONDS if has_header else None
            assert caught.value.retry_after_seconds == expected, name
    assert rig.make()(request) is not None


def in_threads(call: Callable[[Any], Any], requests: Sequence[Any]) -> list[Any]:
    """The replies to many requests at once, in the order of the requests."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, requests))

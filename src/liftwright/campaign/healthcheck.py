"""Calls each configured service once: whether it answers, and if not, which key to check."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from liftwright.config import environment
from liftwright.errors import LiftwrightError, ProviderUnavailable
from liftwright.model import JudgeRequest, Limits, Prompt, Query, Segment
from liftwright.ports import ManagesIndexes
from liftwright.wiring import AdapterFactory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.model import Finding

HARMLESS = "Our shops open at nine."
CONNECTED = "Connection successful"

# A secret that nobody has: who may ask for it is told that it is not there.
_NO_SECRET = "CONNECTION_TEST"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCheck:
    """The check of one service.

    Attributes:
        name: of the part, as it is shown.
        ask: makes one call and says what was found; raises our own errors.
        address: gives the key of azure_config.yaml that holds the service's address.
        patience: the keys under `calls.timeout_seconds` that bound the call; empty if none does.
    """

    name: str
    ask: Callable[[], str]
    address: Callable[[], str]
    patience: str = ""

    def __call__(self) -> str:
        """What was found.

        Raises:
            LiftwrightError: what is wrong, and which key to look at.
        """
        try:
            return self.ask()
        except ProviderUnavailable as error:
            longer = f"; give it longer in calls.timeout_seconds.{self.patience}"
            raise LiftwrightError(
                f"{error}. If it lasts: check {self.address()} and the network"
                f"{longer if self.patience else ''}"
            ) from None


def service_checks(root: Path, settings: Settings) -> tuple[ServiceCheck, ...]:
    """The checks of all configured services that are not on this machine, in order."""
    ports = AdapterFactory(root, settings, environment(root))

    def look(
        name: str, port: str, ask: Callable[[], str], patience: str = ""
    ) -> tuple[ServiceCheck, ...]:
        if ports.is_local(port):
            return ()
        return (
            ServiceCheck(
                name=name, ask=ask, address=partial(ports.address, port), patience=patience
            ),
        )

    return (
        *look("secrets", "secrets", lambda: _secrets(ports)),
        *(
            ServiceCheck(name=name, ask=ask, address=lambda: "the service's address")
            for name, ask in ports.checks().items()
        ),
        *look("writer", "complete", lambda: _writer(ports, settings), "complete"),
        *look("embedding model", "embed", lambda: _embed(ports), "embed"),
        *look("search", "search", lambda: _search(ports), "index and .search"),
        *look("screener", "screen", lambda: _screener(ports, settings), "screen"),
        *(
            found
            for name, port, ask in (
                ("prompt shields", "shield", lambda: _shield(ports)),
                ("groundedness", "judge", lambda: _judge(ports)),
            )
            if ports.is_on(port)
            for found in look(name, port, ask, "screen")
        ),
        *look("telemetry", "telemetry", lambda: _checked(ports, "telemetry")),
        *look("tracker", "track", lambda: _checked(ports, "track")),
    )


def connection_prompt(settings: Settings) -> Prompt:
    """A prompt with a minimal reply."""
    segment = Segment(
        label="connection test", size=1, share=1.0, definition="", description="one reader"
    )
    return Prompt(
        text='Reply with the JSON object {"subject": "Hello", "body": "Hello."} and nothing else.',
        brand=settings.experiment.brand.name,
        segment=segment,
        tone=settings.experiment.tones[0],
        passages=(),
        limits=Limits(subject_max_characters=60, body_min_words=1, body_max_words=20),
    )


# Each asks past the retry layer and the ledger: a connection is tried now or not at all.


def _secrets(ports: AdapterFactory) -> str:
    ports.make("secrets")(_NO_SECRET)
    return f"{CONNECTED}: secrets can be read"


def _writer(ports: AdapterFactory, settings: Settings) -> str:
    port = ports.make("complete")
    port(connection_prompt(settings))
    return f"{CONNECTED}: {port.identity.provider}/{port.identity.model}"


def _embed(ports: AdapterFactory) -> str:
    port = ports.make("embed")
    vectors = port(("a short sentence",))
    return f"{CONNECTED}: {port.identity.model}, {vectors.shape[1]} dimensions"


def _search(ports: AdapterFactory) -> str:
    adapter = ports.make("search")
    if not isinstance(adapter.index, ManagesIndexes):
        return f"{adapter.index.identity.provider} was made; it has no way to try its connection"
    kept = adapter.index.index_names()
    if kept.in_use is None:
        return f"{CONNECTED}: no index is in use yet; liftwright index makes one"
    adapter.search(kept.in_use)(Query(text=HARMLESS, top_k=1))
    return (
        f"{CONNECTED}: {kept.in_use} is in use and answers; {len(kept.others)} older ones are there"
    )


def _screener(ports: AdapterFactory, settings: Settings) -> str:
    port = ports.make("screen")
    findings: tuple[Finding, ...] = port(HARMLESS)
    above = [
        one.category
        for one in findings
        if one.check != "safety"
        or one.severity is None
        or one.severity > settings.safety.threshold_of(one.category)
    ]
    if above:
        raise LiftwrightError(f"a harmless sentence is blocked: {', '.join(above)}")
    return f"{CONNECTED}: {port.identity.provider}/{port.identity.model}"


def _shield(ports: AdapterFactory) -> str:
    if ports.make("shield")(HARMLESS):
        raise LiftwrightError("a harmless sentence is taken for an attack")
    return CONNECTED


def _judge(ports: AdapterFactory) -> str:
    opinion = ports.make("judge")(JudgeRequest(text=HARMLESS, sources=(HARMLESS,)))
    if not opinion.grounded:
        raise LiftwrightError("a sentence is called ungrounded that its source repeats")
    return CONNECTED


def _checked(ports: AdapterFactory, port: str) -> str:
    """What a port's own `check` finds; a port without one has only been created."""
    made = ports.make(port)
    check: Callable[[], str] | None = getattr(made, "check", None)
    if check is None:
        return "it was made; it has no way to try its connection"
    return f"{CONNECTED}: {check()}"

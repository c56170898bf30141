"""Connection checks: one call to each configured service, with the key to check if it fails."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from liftwright.agents.safety import screener_name
from liftwright.config import environment
from liftwright.errors import LiftwrightError, ProviderUnavailable
from liftwright.model import JudgeRequest, Limits, Prompt, Query, Segment
from liftwright.ports import ManagesIndexes
from liftwright.wiring import AdapterFactory

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from liftwright.config import Settings
    from liftwright.ports import Complete, Embed, Screen

HARMLESS = "Our shops open at nine."
CONNECTED = "Connection successful"

# A secret that does not exist: with permission to read secrets, the reply is "not found".
_NO_SECRET = "CONNECTION_TEST"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCheck:
    """The check of one service.

    Attributes:
        name: the service's display name.
        call: makes one call and describes the result; raises our own errors.
        address_key: returns the key in azure_config.yaml of the service's address.
        timeout_keys: the keys under `calls.timeout_seconds` that limit the call; may be empty.
    """

    name: str
    call: Callable[[], str]
    address_key: Callable[[], str]
    timeout_keys: str = ""

    def __call__(self) -> str:
        """Run the check and describe the result.

        Raises:
            LiftwrightError: what is wrong, and which key to check.
        """
        try:
            return self.call()
        except ProviderUnavailable as error:
            hint = f", or increase calls.timeout_seconds.{self.timeout_keys}"
            raise LiftwrightError(
                f"{error}. If this persists, check {self.address_key()} and the network"
                f"{hint if self.timeout_keys else ''}"
            ) from None


def service_checks(root: Path, settings: Settings) -> tuple[ServiceCheck, ...]:
    """The checks of all configured remote services, in order.

    They bypass the retry layer and the ledger: a connection either works now or not.
    """
    ports = AdapterFactory(root, settings, environment(root))

    def check(
        name: str, port: str, call: Callable[[], str], timeout_keys: str = ""
    ) -> tuple[ServiceCheck, ...]:
        is_off = port in ("shield", "judge") and not ports.is_on(port)
        if is_off or ports.is_local(port):
            return ()
        return (
            ServiceCheck(
                name=name,
                call=call,
                address_key=partial(ports.address, port),
                timeout_keys=timeout_keys,
            ),
        )

    return (
        *check("secrets", "secrets", lambda: _check_secrets(ports)),
        *(
            ServiceCheck(name=name, call=call, address_key=lambda: "the service's address")
            for name, call in ports.checks().items()
        ),
        *check(
            "writer", "complete", lambda: check_writer(ports.make("complete"), settings), "complete"
        ),
        *check("embedding model", "embed", lambda: check_embedder(ports.make("embed")), "embed"),
        *check("search", "search", lambda: _check_search(ports), "index and .search"),
        *check(
            "screener", "screen", lambda: check_screener(ports.make("screen"), settings), "screen"
        ),
        *check("prompt shields", "shield", lambda: _check_shield(ports), "screen"),
        *check("groundedness", "judge", lambda: _check_judge(ports), "screen"),
        *check("telemetry", "telemetry", lambda: _self_check(ports, "telemetry")),
        *check("tracker", "track", lambda: _self_check(ports, "track")),
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


def check_writer(port: Complete, settings: Settings) -> str:
    """Request one minimal completion."""
    port(connection_prompt(settings))
    return f"{CONNECTED}: {port.identity.provider}/{port.identity.model}"


def check_embedder(port: Embed) -> str:
    """Embed one sentence."""
    vectors = port(("a short sentence",))
    return f"{CONNECTED}: {port.identity.model}, {vectors.shape[1]} dimensions"


def _check_secrets(ports: AdapterFactory) -> str:
    ports.make("secrets")(_NO_SECRET)
    return f"{CONNECTED}: secrets can be read"


def _check_search(ports: AdapterFactory) -> str:
    adapter = ports.make("search")
    if not isinstance(adapter.index, ManagesIndexes):
        return f"{adapter.index.identity.provider} is configured; it has no connection check"
    kept = adapter.index.index_names()
    if kept.in_use is None:
        return f"{CONNECTED}: no index yet; create one with liftwright index"
    adapter.search(kept.in_use)(Query(text=HARMLESS, top_k=1))
    return f"{CONNECTED}: {kept.in_use} is in use and responds; {len(kept.others)} older indexes"


def check_screener(port: Screen, settings: Settings) -> str:
    """Screen one harmless sentence."""
    findings = port(HARMLESS)
    above = [
        finding.category
        for finding in findings
        if finding.check != "safety"
        or finding.severity is None
        or finding.severity > settings.safety.threshold_of(finding.category)
    ]
    if above:
        raise LiftwrightError(f"a harmless test sentence was blocked: {', '.join(above)}")
    return f"{CONNECTED}: {screener_name(port.identity)}"


def _check_shield(ports: AdapterFactory) -> str:
    if ports.make("shield")(HARMLESS):
        raise LiftwrightError("a harmless test sentence was reported as a prompt injection")
    return CONNECTED


def _check_judge(ports: AdapterFactory) -> str:
    opinion = ports.make("judge")(JudgeRequest(text=HARMLESS, sources=(HARMLESS,)))
    if not opinion.grounded:
        raise LiftwrightError("a sentence identical to its source was reported as ungrounded")
    return CONNECTED


def _self_check(ports: AdapterFactory, port: str) -> str:
    """The result of the adapter's own `check`, if it has one."""
    check: Callable[[], str] | None = getattr(ports.make(port), "check", None)
    if check is None:
        return "configured; it has no connection check"
    return f"{CONNECTED}: {check()}"

"""The contract of the port `screen`, which looks for harm in a text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from azure_server.fixtures import served
from azure_server.safety import KEY, SafetyService
from contracts.promises import (
    ODD_TEXTS,
    Fault,
    Rig,
    check_faults,
    check_port,
    in_threads,
    wire_faults,
)
from liftwright.adapters.azure import AzureContentSafety
from liftwright.adapters.azure.content_safety import AzureContentSafetyScreen
from liftwright.adapters.embedded import models
from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.adapters.embedded.screen import EmbeddedScreen
from liftwright.errors import ModelBroken
from liftwright.model import CATEGORIES, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HARMLESS = "Our shops open at nine, and the new rucksacks are in."
THREAT = "I will come to your house tonight and stab you to death."
TEXTS = (
    HARMLESS,
    THREAT,
    "",
    "   \n\n ",
    "ok",
    "Grüße aus Kendal - 20 % ⛺",
    "[Source: Boots, Care] £5",
)


def embedded(folder: Path) -> Iterator[Rig]:
    embed = MiniLmEmbed()
    broken = folder / "broken"
    broken.mkdir()
    for name in ("screener.json", "lexicon.json"):
        (broken / name).write_bytes((models.FOLDER / name).read_bytes()[:-40])
    yield Rig(
        make=lambda: EmbeddedScreen(embed),
        others={"model files": lambda: EmbeddedScreen(embed, broken)},
        faults={
            "broken files": Fault(arrange=lambda: EmbeddedScreen(embed, broken), error=ModelBroken),
            "missing files": Fault(
                arrange=lambda: EmbeddedScreen(embed, folder / "none"), error=ModelBroken
            ),
        },
    )


def azure(_: Path) -> Iterator[Rig]:
    with served(SafetyService(harms={"stab you": ("Violence", 6)})) as server:

        def make(*, seconds: float = 60, **changes: object) -> AzureContentSafetyScreen:
            options = {"endpoint": server.url, **changes}
            return AzureContentSafetyScreen(
                AzureContentSafety.model_validate(options), api_key=KEY, timeout_seconds=seconds
            )

        yield Rig(
            make=make,
            others={
                "scale": lambda: make(output_type="EightSeverityLevels"),
                "blocklists": lambda: make(blocklists=["rivals"]),
                "resource": lambda: make(endpoint="https://other.cognitiveservices.azure.com"),
                "version": lambda: make(api_version="2024-09-01"),
            },
            metered=True,
            faults=wire_faults(server, "/contentsafety/", make),
            calls=lambda: len(server.requests),
            secret=KEY,
        )


ADAPTERS = {"embedded": embedded, "azure": azure}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from request.param(tmp_path)


def severities(findings: tuple[Finding, ...]) -> dict[str, int]:
    return {finding.category: finding.severity for finding in findings}


def test_port_has_a_stable_identity_and_shows_no_secret(rig: Rig) -> None:
    check_port(rig)


def test_call_gives_each_category_once_with_scales_and_places_in_range(rig: Rig) -> None:
    screen = rig.make()
    for text in TEXTS:
        findings = screen(text)
        assert sorted(finding.category for finding in findings) == sorted(CATEGORIES)
        for finding in findings:
            assert finding.check == "safety"
            if finding.reason == "not_judged":
                assert (finding.severity, finding.score) == (None, None)
                continue
            assert finding.severity in (0, 2, 4, 6)
            assert 0 <= finding.score <= 1
            assert (finding.start is None) is (finding.end is None)
            if finding.start is not None:
                assert 0 <= finding.start < finding.end <= len(text)


def test_call_tells_a_threat_from_a_shop_notice(rig: Rig) -> None:
    screen = rig.make()
    assert severities(screen(THREAT))["violence"] > 4
    assert max(severities(screen(HARMLESS)).values()) <= 2


def test_call_finds_one_bad_sentence_among_many_good_ones(rig: Rig) -> None:
    buried = f"{HARMLESS} " * 15 + THREAT + f" {HARMLESS}" * 15
    assert severities(rig.make()(buried))["violence"] > 4


def test_call_gives_equal_findings_for_equal_text_in_any_thread(rig: Rig) -> None:
    screen = rig.make()
    alone = [screen(text) for text in TEXTS]
    assert in_threads(screen, TEXTS) == alone


def test_call_that_fails_raises_a_provider_error_without_the_text(rig: Rig) -> None:
    check_faults(rig, THREAT, "stab", "tonight")


def test_call_finds_a_threat_after_odd_text(rig: Rig) -> None:
    screen = rig.make()
    for name, text in ODD_TEXTS.items():
        assert severities(screen(f"{text} {THREAT}"))["violence"] > 4, name

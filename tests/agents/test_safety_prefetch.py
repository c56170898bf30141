from __future__ import annotations

import threading

import pytest

from liftwright.agents.safety import parts_of, screen_concurrently, screen_text, screener_check
from liftwright.agents.safety.message_parts import Part
from liftwright.config import Safety
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.model import CATEGORIES, Finding, Identity
from under_way import UnderWay
from waiting import PATIENCE_SECONDS

TEXT = "Our shops open at nine. Come by on foot. Come by on foot. See https://acme.example now."


class Screener:
    """Finds no harm, and fails on texts with a word; counts what it is asked, and how many at once.

    Attributes:
        gate: where it is set, a call returns when so many are under way.
    """

    identity = Identity(provider="test", model="m")

    def __init__(self, *, metered: bool = True, fails_on: str = "\0", gate: int = 0) -> None:
        self.metered = metered
        self.asked: list[str] = []
        self.under_way = UnderWay()
        self._fails_on = fails_on
        self._gate = threading.Barrier(gate) if gate else None
        self._lock = threading.Lock()

    def __call__(self, request: str, /) -> tuple[Finding, ...]:
        with self._lock:
            self.asked.append(request)
        with self.under_way:
            if self._gate:
                self._gate.wait(timeout=PATIENCE_SECONDS)
        if self._fails_on in request:
            raise ProviderUnavailable("the screener is away")
        return tuple(
            Finding(check="safety", category=category, severity=0, score=0.0)
            for category in CATEGORIES
        )


def parts(count: int) -> list[Part]:
    return [Part(f"text {number}", "body") for number in range(count)]


def test_asked_ahead_asks_for_each_text_once_and_then_answers_from_it() -> None:
    screener = Screener()
    asked = screen_concurrently([*parts(4), *parts(4)], screener, workers=2)
    assert sorted(screener.asked) == [part.text for part in parts(4)]
    assert [len(asked(part.text)) for part in parts(4)] == [4] * 4
    assert len(screener.asked) == 4
    assert (asked.identity, asked.metered) == (screener.identity, True)


@pytest.mark.parametrize(("affects_all_requests", "asked"), [(True, 1), (False, 5)])
def test_asked_ahead_refusal_of_affects_all_requests_ends_the_asking_and_that_of_one_does_not(
    *, affects_all_requests: bool, asked: int
) -> None:
    class Refusing(Screener):
        def __call__(self, request: str, /) -> tuple[Finding, ...]:
            self.asked.append(request)
            raise ProviderRefused("401", affects_all_requests=affects_all_requests)

    screener = Refusing()
    ahead = screen_concurrently(parts(5), screener, workers=1)
    assert len(screener.asked) == asked
    for part in parts(5):
        with pytest.raises(ProviderRefused, match="401"):
            ahead(part.text)


def test_asked_ahead_text_that_was_screened_earlier_is_not_screened_again() -> None:
    screener = Screener()
    earlier = {"text 1": screener("text 1")}
    asked = screen_concurrently(
        parts(3),
        screener,
        workers=2,
        earlier=earlier.get,
    )
    assert sorted(screener.asked) == ["text 0", "text 1", "text 2"]
    assert asked("text 1") is earlier["text 1"]


def test_asked_ahead_screener_of_this_machine_is_given_back_unasked() -> None:
    screener = Screener(metered=False)
    assert screen_concurrently(parts(3), screener, workers=2) is screener
    assert screener.asked == []


@pytest.mark.parametrize("fails_on", ["\0", "foot", "nine", "acme"])
def test_asked_ahead_text_is_decided_on_as_if_it_were_asked_part_by_part(fails_on: str) -> None:
    screener = Screener(fails_on=fails_on)
    ahead = screen_concurrently(parts_of(TEXT, "text"), screener, workers=4)
    known = set(screener.asked)
    found = screen_text(TEXT, [screener_check(ahead, Safety())])
    assert found == screen_text(TEXT, [screener_check(Screener(fails_on=fails_on), Safety())])
    assert found.status == ("pass" if fails_on == "\0" else "block")
    assert set(screener.asked) == known

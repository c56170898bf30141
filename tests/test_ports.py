"""How an adapter reports what a call used."""

from __future__ import annotations

import pytest

from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.model import Usage, text_records
from liftwright.ports import Meter, Reply


def test_meter_reply_has_what_was_added() -> None:
    with Meter() as meter:
        assert meter.reply("none") == Reply(value="none", usage=Usage())
        meter.add(Usage(units=1))
        meter.add(Usage(units=2))
        assert meter.reply("reply") == Reply(value="reply", usage=Usage(units=3))


def test_meter_error_has_what_was_added_before_it_or_nothing() -> None:
    meter = Meter()
    meter.add(Usage(units=1))
    with pytest.raises(ProviderRefused) as charged, meter:
        raise ProviderRefused("cut off")
    assert charged.value.usage == Usage(units=1)
    with pytest.raises(ProviderUnavailable) as free, Meter():
        raise ProviderUnavailable("503")
    assert free.value.usage is None


def test_meter_error_of_a_call_within_the_call_loses_that_calls_usage() -> None:
    outer, inner = Meter(), Meter()
    outer.add(Usage(units=1))
    inner.add(Usage(units=5))
    with pytest.raises(ProviderRefused) as caught, outer, inner:
        raise ProviderRefused("no")
    assert caught.value.usage == Usage(units=1)


@pytest.mark.parametrize(
    ("characters", "records"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (7500, 8)]
)
def test_text_records_are_the_thousands_of_characters_that_are_begun(
    characters: int, records: int
) -> None:
    assert text_records("é" * characters) == records

from __future__ import annotations

import pytest

from liftwright.model import Usage
from liftwright.usage import metering, report_usage, text_records


def test_metering_hears_what_is_told_within_it_alone() -> None:
    report_usage(Usage(units=1))
    with metering() as outer:
        report_usage(Usage(units=2))
        with metering() as inner:
            report_usage(Usage(units=3))
        report_usage(Usage(units=4))
    report_usage(Usage(units=5))
    assert [one.units for one in outer] == [2, 4]
    assert [one.units for one in inner] == [3]


@pytest.mark.parametrize(
    ("characters", "records"), [(0, 1), (1, 1), (1000, 1), (1001, 2), (7500, 8)]
)
def test_text_records_are_the_thousands_of_characters_that_are_begun(
    characters: int, records: int
) -> None:
    assert text_records("é" * characters) == records

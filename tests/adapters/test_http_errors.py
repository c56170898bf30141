from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from liftwright.adapters.http_errors import retry_after


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "250", "retry-after": "2"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({}, None),
    ],
)
def test_retry_after_gives_seconds_or_nothing(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize("zone", [UTC, None])
def test_retry_after_of_a_date_to_come_gives_the_time_until_then(zone: object) -> None:
    moment = datetime.now(UTC) + timedelta(hours=1)
    told = format_datetime(moment if zone else moment.replace(tzinfo=None))
    seconds = retry_after({"retry-after": told})
    assert seconds is not None
    assert 3500 < seconds <= 3600

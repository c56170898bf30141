from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from azure.core.exceptions import ServiceRequestError

from liftwright.adapters.http_errors import connection_error, retry_after, status_error
from liftwright.errors import ProviderRefused, ProviderUnavailable


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


@pytest.mark.parametrize(
    ("cause", "error", "named"),
    [
        (ssl.SSLCertVerificationError("CANARY"), ProviderRefused, "REQUESTS_CA_BUNDLE"),
        (OSError("Tunnel connection failed: 407 CANARY"), ProviderRefused, "HTTPS_PROXY"),
        (ConnectionRefusedError("CANARY at port 407"), ProviderUnavailable, "cannot be reached"),
    ],
)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_connection_error_names_what_a_person_can_change(
    cause: Exception, error: type[Exception], named: str, depth: int
) -> None:
    for _ in range(depth):
        cause = ServiceRequestError("CANARY", error=cause) if depth == 1 else OSError(cause)
    found = connection_error("Search", cause)
    assert type(found) is error
    assert named in str(found)
    assert "CANARY" not in str(found)


@pytest.mark.parametrize(
    ("status", "code", "parameter", "message"),
    [
        (402, None, None, "S answered 402: the account is out of credit"),
        (407, None, None, "S answered 407: the proxy asks"),
        (429, "insufficient_quota", None, "S answered 429 (insufficient_quota): the quota"),
        (400, "unsupported", "top_p", "S answered 400 (unsupported, parameter top_p)"),
        (400, "two words", "a b", "S answered 400"),
    ],
)
def test_status_error_says_what_is_wrong_in_single_words_and_what_to_do(
    status: int, code: str | None, parameter: str | None, message: str
) -> None:
    found = status_error("S", status, {}, code=code, parameter=parameter)
    assert type(found) is ProviderRefused
    assert str(found).startswith(message)
    assert "two words" not in str(found)

"""HTTP error responses of services: what is retried, how long to wait, and the message."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from liftwright.errors import ProviderRefused, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

SLUG = re.compile(r"[A-Za-z0-9_.-]{1,60}")
"""A code that a message may repeat; anything longer could contain a text of the request."""

_RETRIED = frozenset({408, 409, 425, 429})
_SERVER_ERROR, _TOO_MANY_REQUESTS = 500, 429
_PERMANENT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
# No key, no role, no such address, a retired version.
_AFFECT_ALL_REQUESTS = frozenset({401, 403, 404, 410})
_UNITS = (("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0), ("retry-after", 1.0))


def status_error(
    service: str,
    status: int,
    headers: Mapping[str, str],
    *,
    code: object = None,
    hints: Mapping[int, str] | None = None,
) -> ProviderRefused | ProviderUnavailable:
    """The error for a response that is not a success, without the service's own message.

    Args:
        service: its name in the message.
        status: of the response.
        headers: of the response, with case-insensitive names.
        code: the service's code of the error; repeated if it is a single word.
        hints: what a person can do about a permanent error, by status.
    """
    named = f" ({code})" if isinstance(code, str) and SLUG.fullmatch(code) else ""
    message = f"{service} answered {status}{named}"
    if (status in _RETRIED or status >= _SERVER_ERROR) and code not in _PERMANENT_CODES:
        return ProviderUnavailable(
            message,
            retry_after_seconds=retry_after(headers),
            throttled=status == _TOO_MANY_REQUESTS,
        )
    hint = (hints or {}).get(status)
    return ProviderRefused(
        f"{message}: {hint}" if hint else message,
        affects_all_requests=status in _AFFECT_ALL_REQUESTS,
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that a service asks to wait, from milliseconds, seconds or a date; or None.

    Args:
        headers: of the response, with case-insensitive names.
    """
    for name, unit in _UNITS:
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)

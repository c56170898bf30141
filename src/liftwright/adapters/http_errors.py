"""HTTP error responses of services: what is retried, how long to wait, and the message."""

from __future__ import annotations

import re
import ssl
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
# No key, no credit, no role, no such address, no way through the proxy, a retired version.
_AFFECT_ALL_REQUESTS = frozenset({401, 402, 403, 404, 407, 410})
_HINTS = {
    402: "the account is out of credit or quota: check its billing",
    407: "the proxy asks for a user and a password: put them into HTTPS_PROXY",
    429: "the quota is used up: check the account's plan and billing",
}
_PROXY_REFUSED = re.compile(r"(?:^|failed: )407\b")
_UNITS = (("retry-after-ms", 1000.0), ("x-ms-retry-after-ms", 1000.0), ("retry-after", 1.0))


def status_error(  # noqa: PLR0913 - what a response says, each part by name
    service: str,
    status: int,
    headers: Mapping[str, str],
    *,
    code: object = None,
    parameter: object = None,
    hints: Mapping[int, str] | None = None,
) -> ProviderRefused | ProviderUnavailable:
    """The error for a response that is not a success, without the service's own message.

    Args:
        service: its name in the message.
        status: of the response.
        headers: of the response, with case-insensitive names.
        code: the service's code of the error; repeated if it is a single word.
        parameter: the request's parameter that the service names; likewise.
        hints: what a person can do about a permanent error, by status.
    """
    words = {"": code, "parameter ": parameter}
    named = ", ".join(
        f"{kind}{word}"
        for kind, word in words.items()
        if isinstance(word, str) and SLUG.fullmatch(word)
    )
    message = f"{service} answered {status}" + (f" ({named})" if named else "")
    if (status in _RETRIED or status >= _SERVER_ERROR) and code not in _PERMANENT_CODES:
        return ProviderUnavailable(
            message,
            retry_after_seconds=retry_after(headers),
            throttled=status == _TOO_MANY_REQUESTS,
        )
    hint = {**_HINTS, **(hints or {})}.get(status)
    return ProviderRefused(
        f"{message}: {hint}" if hint else message,
        affects_all_requests=status in _AFFECT_ALL_REQUESTS,
    )


def connection_error(service: str, error: BaseException) -> ProviderRefused | ProviderUnavailable:
    """The error for a connection that could not be opened, without the vendor's own message.

    Args:
        service: its name in the message.
        error: the vendor's error, whose causes say why.
    """
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        # azure-core, urllib3 and requests keep the cause in these attributes.
        inner = [getattr(cause, name, None) for name in ("inner_exception", "reason")]
        inner += cause.args
        cause = (
            cause.__cause__
            or cause.__context__
            or next((one for one in inner if isinstance(one, BaseException)), None)
        )
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return ProviderRefused(
            f"{service}: the certificate is not trusted: if your network inspects TLS, name the "
            "file of its root certificate in REQUESTS_CA_BUNDLE and SSL_CERT_FILE",
            affects_all_requests=True,
        )
    if any(_PROXY_REFUSED.search(str(cause)) for cause in causes):
        return ProviderRefused(
            f"{service}: the proxy answered 407: {_HINTS[407]}", affects_all_requests=True
        )
    return ProviderUnavailable(f"{service} cannot be reached")


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

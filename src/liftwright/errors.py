"""The exceptions that Liftwright raises on purpose, and the exit status of each.

LiftwrightError                 1
├── InputError                  2  the input, the configuration or the call is wrong
│   ├── ConfigurationError         a file of config/ (file, line, key, found, allowed)
│   ├── DataError                  customers, orders, content, engagement (file, row, found)
│   └── WorkspaceBusy              another run has locked the workspace
├── NoExperiment                1  finished, and the answer is no
├── AwaitingApproval            5  stopped until a person approves the variants
├── ProviderError               3  a service or a model gave no usable reply
│   ├── ProviderUnavailable        a temporary fault: retried
│   ├── ProviderRefused            a permanent fault: not retried
│   ├── ServiceDown                the circuit breaker is open after repeated failures
│   ├── ModelBroken                a model file is missing or does not match its checksum
│   └── BudgetSpent                the run's budget does not cover the next call
└── IntegrityError              4  the audit log or the ledger was altered or is corrupt
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.model import Usage


_secrets: dict[str, str] = {}
_SHORTEST_SECRET = 4


def hide_secret(value: str, shown: str) -> None:
    """Show `shown` in place of `value` in every later error message and log line."""
    if len(value) >= _SHORTEST_SECRET:
        _secrets[value] = shown


def hide_secrets(text: str) -> str:
    """A text with the values of known secrets replaced."""
    for value, shown in tuple(_secrets.items()):
        text = text.replace(value, shown)
    return text


class LiftwrightError(Exception):
    """The base class of every exception that Liftwright raises on purpose."""

    exit_status: int = 1

    def __str__(self) -> str:
        """The message, without the values of secrets."""
        return hide_secrets(super().__str__())


class InputError(LiftwrightError):
    """The input, the configuration or the call is wrong; nothing was done."""

    exit_status = 2


class ConfigurationError(InputError):
    """A configuration file is missing, malformed or has a value that is not allowed."""


class DataError(InputError):
    """Customers, orders, content or engagement are missing or not valid."""


class WorkspaceBusy(InputError):  # noqa: N818 - reads as the state it reports
    """Another run is in progress in this workspace."""


class NoExperiment(LiftwrightError):  # noqa: N818 - an answer, not a fault
    """The run finished without an experiment: no approved variant, or too few customers."""


class AwaitingApproval(LiftwrightError):  # noqa: N818 - a state, not a fault
    """The run waits for a person to approve its variants; running it again resumes it."""

    exit_status = 5


class ProviderError(LiftwrightError):
    """A service or a model gave no usable reply.

    Attributes:
        retry_after_seconds: the wait that the service asked for; None if it gave none.
        usage: the billed usage of the failed attempt; None if it was not billed.
        attempts: the requests that were made for the call; 0 if none, or if nobody counted.
    """

    exit_status = 3
    usage: Usage | None = None
    attempts: int = 0

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ProviderUnavailable(ProviderError):  # noqa: N818 - reads as the state it reports
    """A temporary fault (time-out, overload, connection): worth retrying.

    Attributes:
        throttled: whether the service reported too many requests (429).
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, throttled: bool = False
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.throttled = throttled


class ProviderRefused(ProviderError):  # noqa: N818 - reads as the state it reports
    """A permanent fault (credentials, bad request, content filter): retrying cannot help.

    Attributes:
        affects_all_requests: whether every other request would fail as well, because the key, the
            address or the version is wrong, not the request.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        affects_all_requests: bool = False,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.affects_all_requests = affects_all_requests


class ServiceDown(ProviderError):  # noqa: N818 - reads as the state it reports
    """A service failed repeatedly and did not recover; the call was not made."""


class ModelBroken(ProviderError):  # noqa: N818 - reads as the state it reports
    """A model file is missing or does not match its checksum."""


class BudgetSpent(ProviderError):  # noqa: N818 - reads as the state it reports
    """The next call would exceed the run's budget; it was not made."""


class IntegrityError(LiftwrightError):
    """The audit log or the ledger is missing, altered or corrupt."""

    exit_status = 4

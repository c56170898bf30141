"""Everything that Liftwright raises on purpose, and the exit status each ends a command with.

LiftwrightError                 1
├── InputError                  2  the input, the configuration or the call is wrong
│   ├── ConfigurationError         a file of config/ (file, line, key, found, allowed)
│   ├── DataError                  customers, orders, content, engagement (file, row, found)
│   └── WorkspaceBusy              another run holds the workspace
├── NoExperiment                1  finished, and the answer is no
├── AwaitingApproval            1  stopped until a person approves the variants
├── ProviderError               3  a service or a model did not give a usable reply
│   ├── ProviderUnavailable        a passing fault: asked again
│   ├── ProviderRefused            a lasting one: not asked again
│   ├── ServiceDown                a service failed call after call: it is asked no more
│   ├── ModelBroken                a model file is missing or not the one that was shipped
│   └── BudgetSpent                the run's budget does not cover the next call
└── IntegrityError              4  the audit log or the ledger is not what was written
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from liftwright.model import Usage


class LiftwrightError(Exception):
    """The root: a caller that catches it catches all that is raised on purpose."""

    exit_status: int = 1


class InputError(LiftwrightError):
    """The input, the configuration or the call is wrong; nothing was done."""

    exit_status = 2


class ConfigurationError(InputError):
    """A configuration file is missing, malformed or holds what is not allowed."""


class DataError(InputError):
    """Customers, orders, content or engagement cannot be read as they are."""


class WorkspaceBusy(InputError):  # noqa: N818 - reads as the state it reports
    """Another run is under way in this workspace."""


class NoExperiment(LiftwrightError):  # noqa: N818 - an answer, not a fault
    """The run finished without an experiment: no approved variant, or too few customers."""


class AwaitingApproval(LiftwrightError):  # noqa: N818 - a state, not a fault
    """The run waits for a person's word on its variants; running again goes on."""


class ProviderError(LiftwrightError):
    """A service or a model gave no usable reply.

    Attributes:
        retry_after_seconds: how long the service asked to wait; None where it said nothing.
        usage: what the service charges for the failed attempt; None where it charges nothing.
    """

    exit_status = 3
    usage: Usage | None = None

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ProviderUnavailable(ProviderError):  # noqa: N818 - reads as the state it reports
    """A passing fault (time-out, overload, connection): worth asking again.

    Attributes:
        throttled: whether the service said that it is asked too fast (429).
    """

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, throttled: bool = False
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.throttled = throttled


class ProviderRefused(ProviderError):  # noqa: N818 - reads as the state it reports
    """A lasting fault (credentials, bad request, content filter): asking again cannot help.

    Attributes:
        whatever_is_asked: whether every other request would be refused as well, for it is not what
            was asked that is wrong but the key, the address or the version.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        whatever_is_asked: bool = False,
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.whatever_is_asked = whatever_is_asked


class ServiceDown(ProviderError):  # noqa: N818 - reads as the state it reports
    """A service failed call after call and did not recover; nothing was asked of it."""


class ModelBroken(ProviderError):  # noqa: N818 - reads as the state it reports
    """A model file is missing or is not the one that was shipped."""


class BudgetSpent(ProviderError):  # noqa: N818 - reads as the state it reports
    """The next call would exceed the run's budget; it was not made."""


class IntegrityError(LiftwrightError):
    """The audit log or the ledger is missing, altered or corrupt."""

    exit_status = 4

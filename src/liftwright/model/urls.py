"""Parses URLs of object stores; any other text with `://` is refused."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from liftwright.errors import DataError

_MARK = "://"
_STORES = {"s3": "s3", "s3a": "s3", "abfss": "azure", "az": "azure", "gs": "gcs"}
_FORMS = {
    "s3": "s3://BUCKET/KEY",
    "azure": "abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH or az://CONTAINER/PATH",
    "gcs": "gs://BUCKET/KEY",
}
_CONTAINER = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{2,221}")
_HOST = re.compile(r"([a-z0-9]{3,24})\.(?:dfs|blob)\.([a-z0-9.-]+)")
PUBLIC_AZURE = "core.windows.net"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectUrl:
    """A location in an object store.

    Attributes:
        text: the URL as typed.
        store: s3 | azure | gcs.
        container: the bucket or container.
        key: the object's key or a prefix, without leading and trailing slashes; empty for the
            whole container.
        folder: whether the URL ends in a slash, so that the key can only be a prefix.
        account: the Azure storage account; None if the environment names it.
        suffix: the domain of the Azure cloud.
    """

    text: str
    store: str
    container: str
    key: str
    folder: bool = False
    account: str | None = None
    suffix: str = PUBLIC_AZURE

    def __str__(self) -> str:
        return self.text

    def below(self, name: str) -> ObjectUrl:
        """The URL of `name` in this folder."""
        return parse_url(f"{self.text.rstrip('/')}/{name}")


def is_url(text: str) -> bool:
    """Whether `text` is a URL and not a local path."""
    return _MARK in text


def parse_url(text: str) -> ObjectUrl:
    """Parse the URL of a location in an object store.

    Raises:
        DataError: the scheme is not supported, or the URL is incomplete. The message leaves out
            any part that may be a secret (a user, a query).
    """
    scheme, _, rest = text.partition(_MARK)
    if "?" in rest:
        raise DataError(
            f"{scheme}{_MARK}…: found a URL with a query, allowed: one without; keys and tokens "
            "come from the environment"
        )
    where, _, path = rest.partition("/")
    store = _STORES.get(scheme)
    if store is None:
        shown = text if "@" not in where else f"{scheme}{_MARK}…"
        close = difflib.get_close_matches(scheme.lower(), _STORES, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}{_MARK}? " if close else ""
        raise DataError(
            f"{shown}: no store for {scheme}{_MARK}; {hint}allowed: local paths, "
            f"s3{_MARK}, abfss{_MARK}, az{_MARK} and gs{_MARK}"
        )
    if "*" in path:
        raise DataError(f"{text}: found a pattern, allowed: an object, or a folder ending in /")
    container, account, suffix = _split(scheme, where)
    if not _CONTAINER.fullmatch(container):
        # The text before an @ may be a password typed in place of a container.
        raise DataError(f"{scheme}{_MARK}…: the URL is incomplete, allowed: {_FORMS[store]}")
    return ObjectUrl(
        text=text,
        store=store,
        container=container,
        key=path.strip("/"),
        folder=not path or path.endswith("/"),
        account=account,
        suffix=suffix,
    )


def _split(scheme: str, where: str) -> tuple[str, str | None, str]:
    """Container, account and cloud; an empty container if the host is not valid."""
    if scheme != "abfss":
        return where, None, PUBLIC_AZURE
    container, _, host = where.partition("@")
    match = _HOST.fullmatch(host)
    return (container, match.group(1), match.group(2)) if match else ("", None, PUBLIC_AZURE)

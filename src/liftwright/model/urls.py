"""URLs of object stores: what was typed, taken apart; anything else with `://` is refused."""

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
    """A place in an object store.

    Attributes:
        text: the URL as it was typed.
        store: s3 | azure | gcs.
        container: the bucket or container.
        key: the object's key, or a prefix, without slashes at its ends; empty is all of it.
        folder: whether it ends in a slash, and so can only be a prefix.
        account: Azure's storage account; None where the environment names it.
        suffix: the domain of Azure's cloud.
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
        """The URL of `name` below this one, taken for a folder."""
        return parse_url(f"{self.text.rstrip('/')}/{name}")


def is_url(text: str) -> bool:
    """Whether a place is meant as a URL, not as a path of this machine."""
    return _MARK in text


def parse_url(text: str) -> ObjectUrl:
    """The place in an object store that a URL names.

    Raises:
        DataError: the scheme is none of ours, or the URL is not whole. What may be a secret in it
            (a user, a query) is not repeated.
    """
    scheme, _, rest = text.partition(_MARK)
    if "?" in rest:
        raise DataError(
            f"{scheme}{_MARK}…: a URL with a query; allowed is the place alone: keys and tokens "
            "come from the environment"
        )
    where, _, path = rest.partition("/")
    store = _STORES.get(scheme)
    if store is None:
        shown = text if "@" not in where else f"{scheme}{_MARK}…"
        close = difflib.get_close_matches(scheme.lower(), _STORES, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}{_MARK}? " if close else ""
        raise DataError(
            f"{shown}: no store for {scheme}{_MARK}; {hint}allowed are paths of this machine, "
            f"s3{_MARK}, abfss{_MARK}, az{_MARK} and gs{_MARK}"
        )
    if "*" in path:
        raise DataError(f"{text}: a pattern; allowed is one object, or a folder that ends in /")
    container, account, suffix = _split(scheme, where)
    if not _CONTAINER.fullmatch(container):
        # Before an @ may stand a password, where a container was meant.
        raise DataError(f"{scheme}{_MARK}…: not whole; allowed: {_FORMS[store]}")
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
    """Container, account and cloud; an empty container where they are not as they should be."""
    if scheme != "abfss":
        return where, None, PUBLIC_AZURE
    container, _, host = where.partition("@")
    found = _HOST.fullmatch(host)
    return (container, found.group(1), found.group(2)) if found else ("", None, PUBLIC_AZURE)

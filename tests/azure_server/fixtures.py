"""The fixture `azure_server`, which `conftest.py` gives to every test.

A module that uses it says with a fixture `azure_handlers` which services it serves.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from azure_server.server import AzureServer
from azure_server.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from azure_server.server import Handler


@contextlib.contextmanager
def served(*handlers: Handler) -> Iterator[AzureServer]:
    """Run these services within the block; the vendors' clients trust them.

    Raises:
        AssertionError: at the end, where a service was sent what it would refuse; who means to do
            so clears `invalid`.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name, value in certificates().environment.items():
            patch.setenv(name, value)
        with AzureServer(handlers).running() as server:
            yield server
            assert server.invalid == []


@pytest.fixture
def azure_server(azure_handlers: Sequence[Handler]) -> Iterator[AzureServer]:
    """A running server with the module's handlers, which the vendors' clients trust.

    The test fails where a service was sent what it would refuse.
    """
    with served(*azure_handlers) as server:
        yield server

"""The fixture `azure_server`; a test module imports both, and overrides `azure_handlers`.

from azure_server.fixtures import azure_server  # noqa: F401 - a fixture

@pytest.fixture
def azure_handlers() -> list[Handler]:
    return [OpenAIService()]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from azure_server.server import AzureServer
from azure_server.tls import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from azure_server.server import Handler


@pytest.fixture
def azure_server(
    azure_handlers: Sequence[Handler], monkeypatch: pytest.MonkeyPatch
) -> Iterator[AzureServer]:
    """A running server with the module's handlers, which the vendors' clients trust.

    The test fails where a service was sent what it would refuse; one that means to do so clears
    `azure_server.invalid`.
    """
    for name, value in certificates().environment.items():
        monkeypatch.setenv(name, value)
    with AzureServer(azure_handlers).running() as server:
        yield server
        assert server.invalid == []

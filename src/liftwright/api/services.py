"""Calls the configured services one at a time, for a first try and for notebooks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from liftwright.agents import generation
from liftwright.api.session import open_session, workspace_root
from liftwright.campaign import Workspace
from liftwright.campaign.healthcheck import CONNECTED
from liftwright.errors import ConfigurationError, ProviderRefused
from liftwright.model import Prompt, Query, Segment

if TYPE_CHECKING:
    from pathlib import Path

_AZURE_OPENAI = "azure_openai"


class AzureOpenAIClient:
    """Requests completions from the configured deployment, with retries.

    Args:
        workspace: provides the `azure_openai` block and secrets.

    Raises:
        ConfigurationError: another writer is configured, or a key is missing.
    """

    def __init__(self, *, workspace: str | Path | None = None) -> None:
        with contextlib.closing(open_session(workspace)) as context:
            provider = context.ports.complete.identity.provider
            if provider != _AZURE_OPENAI:
                raise ConfigurationError(
                    f"config/azure_config.yaml: adapters.complete: found {provider!r}, "
                    f"allowed here: {_AZURE_OPENAI!r}"
                )
            self._complete, self._calls = context.ports.complete, context.calls
            self._limits = generation.message_limits(context.settings.channel.variant)

    def generate_completion(self, prompt: str) -> dict[str, Any]:
        """Request one completion; it is charged, but not recorded in ledger or budget.

        Args:
            prompt: the text to send.

        Returns:
            `text` (JSON with `subject` and `body`), `model`, `tokens_used` (input and output),
            `input_tokens`, `cached_input_tokens`, `output_tokens`, `cost_usd`.

        Raises:
            ProviderUnavailable: four attempts failed.
            ProviderRefused: invalid credentials, a bad request, a content filter, a refusal or a
                truncated reply.
        """
        no_segment = Segment(label="", size=0, share=0.0, definition="", description="")
        request = Prompt(
            text=prompt, brand="", segment=no_segment, tone="", passages=(), limits=self._limits
        )
        reply = self._calls.make("complete", lambda: self._complete(request))
        return {
            "text": reply.text,
            "model": reply.model,
            "tokens_used": reply.tokens.input + reply.tokens.output,
            "input_tokens": reply.tokens.input,
            "cached_input_tokens": reply.tokens.cached_input,
            "output_tokens": reply.tokens.output,
            "cost_usd": reply.cost_usd,
        }


def create_index(*, workspace: str | Path | None = None) -> dict[str, Any]:
    """Index the approved content with the configured search service; idempotent.

    Args:
        workspace: provides content and configuration.

    Returns:
        The `name` of the index, `documents`, `paragraphs`, and `errors` by document.
    """
    with contextlib.closing(open_session(workspace)) as context:
        report = context.index(context.corpus.documents)
    return {
        "name": report.name,
        "documents": report.documents,
        "paragraphs": report.paragraphs,
        "errors": list(report.errors),
    }


def index_exists(name: str, *, workspace: str | Path | None = None) -> bool:
    """Whether the configured search service has an index of this name.

    Args:
        name: the name returned by `create_index`.
        workspace: provides the configuration.

    Raises:
        ProviderUnavailable: the service cannot be reached.
    """
    with contextlib.closing(open_session(workspace)) as context:
        search = context.ports.search(name)
        try:
            context.calls.make("search", lambda: search(Query(text="anything", top_k=1)))
        except ProviderRefused:
            return False
    return True


def test_connection(
    *,
    workspace: str | Path | None = None,  # noqa: PT028 - the specification's name, no test
) -> dict[str, str]:
    """Make one call to each configured service, like `liftwright doctor --live`.

    Args:
        workspace: provides the configuration.

    Returns:
        By check, `Connection successful` with details, or the problem and how to fix it. Successful
        checks without a connection, such as the audit log, are omitted.
    """
    checks = Workspace(workspace_root(workspace)).doctor(live=True)
    return {
        check.name: check.detail for check in checks if CONNECTED in check.detail or not check.ok
    }


# Otherwise pytest would collect it as a test.
test_connection.__test__ = False  # type: ignore[attr-defined]

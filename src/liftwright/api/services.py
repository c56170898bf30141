"""The services behind the ports, one call at a time: for a first try, and for notebooks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from liftwright.agents import generation
from liftwright.api.session import open_session, workspace_root
from liftwright.campaign import Workspace
from liftwright.errors import ConfigurationError, ProviderRefused
from liftwright.model import Prompt, Query, Segment

if TYPE_CHECKING:
    from pathlib import Path

_AZURE_OPENAI = "azure_openai"
_CONNECTED = "Connection successful"


class AzureOpenAIClient:
    """Asks the configured deployment for one completion at a time, with retries.

    Args:
        workspace: whose `azure_openai` block and secrets hold.

    Raises:
        ConfigurationError: where another adapter writes, or a key is missing.
    """

    def __init__(self, *, workspace: str | Path | None = None) -> None:
        with contextlib.closing(open_session(workspace)) as context:
            found = context.ports.complete.identity.provider
            if found != _AZURE_OPENAI:
                raise ConfigurationError(
                    f"config/azure_config.yaml: adapters.complete: found {found!r}, "
                    f"allowed here: {_AZURE_OPENAI!r}"
                )
            self._complete, self._calls = context.ports.complete, context.calls
            self._limits = generation.message_limits(context.settings.channel.variant)

    def generate_completion(self, prompt: str) -> dict[str, Any]:
        """The deployment's reply to a prompt; it is paid, outside of ledger and budget.

        Args:
            prompt: the text as it is sent.

        Returns:
            `text` (JSON with `subject` and `body`, as the schema asks), `model`, `tokens_used`
            (input and output), `input_tokens`, `cached_input_tokens`, `output_tokens`, `cost_usd`.

        Raises:
            ProviderUnavailable: where four attempts failed.
            ProviderRefused: on credentials, a bad request, a filter, a refusal or a cut-off text.
        """
        nobody = Segment(label="", size=0, share=0.0, definition="", description="")
        request = Prompt(
            text=prompt, brand="", segment=nobody, tone="", passages=(), limits=self._limits
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
    """Index the approved content with the configured search service; a second call changes nothing.

    Args:
        workspace: whose content and configuration hold.

    Returns:
        `name` of the index, `documents`, `paragraphs`, and `errors` by document.
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
    """Whether the configured search service answers from an index of this name.

    Args:
        name: as `create_index` gives it.
        workspace: whose configuration holds.

    Raises:
        ProviderUnavailable: where the service cannot be asked.
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
    """One call to each configured service; what `liftwright doctor --live` finds.

    Args:
        workspace: whose configuration holds.

    Returns:
        By part, `Connection successful` and what answered, or what is wrong and how to mend it.
        Parts without a connection, as the audit log, are left out where they are sound.
    """
    checks = Workspace(workspace_root(workspace)).doctor(live=True)
    return {one.name: one.detail for one in checks if _CONNECTED in one.detail or not one.ok}


# By its name, pytest would take it for a test of whoever imports it.
test_connection.__test__ = False  # type: ignore[attr-defined]

"""Language models behind the OpenAI wire format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from liftwright.config.models import Name  # noqa: TC001 - pydantic reads them at run time
from liftwright.providers import AdapterContext, Options, Provider

if TYPE_CHECKING:
    from liftwright.ports import Complete


_TIMEOUT_SECONDS = 10.0


class OpenAICompatible(Options):
    """A server that speaks the OpenAI wire format: Ollama, vLLM, llama.cpp, LM Studio."""

    base_url: Name
    model: Name
    api_key_secret: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.7
    max_output_tokens: Annotated[int, Field(ge=16)] = 800
    structured_output: bool = True


def _complete(context: AdapterContext[OpenAICompatible]) -> Complete:
    from liftwright.adapters.openai.compatible import CompatibleWriter

    options, services = context.options, context.settings.services
    return CompatibleWriter(
        options,
        api_key=context.secret(options.api_key_secret, "openai_compatible.api_key_secret"),
        price=services.prices.get(options.model),
        timeout_seconds=services.calls.timeout_seconds.complete or _TIMEOUT_SECONDS,
    )


PROVIDER = Provider(adapters={"complete": _complete}, options=OpenAICompatible, address="base_url")

"""What OpenTelemetry calls our spans: names, kinds and attributes.

Calls to a model carry the names of the semantic conventions for generative AI (`gen_ai.*`, as of
semantic conventions 1.37, https://opentelemetry.io/docs/specs/semconv/gen-ai/); what those do not
know stands under `liftwright.`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.ports import Span, SpanField

Attributes = dict[str, str | int | float | bool]

_OPERATIONS = {"complete": "chat", "embed": "embeddings"}
_PROVIDERS = {"azure_openai": "azure.ai.openai"}
_OF_MODELS = {
    "model": "gen_ai.request.model",
    "tokens_input": "gen_ai.usage.input_tokens",
    "tokens_cached_input": "gen_ai.usage.cache_read.input_tokens",
    "tokens_output": "gen_ai.usage.output_tokens",
}
_OWN = "liftwright."


def operation_of(span: Span) -> str | None:
    """What the conventions call a call to a model; None for all else.

    What runs on this machine is none: the composer is a program, not a model.
    """
    if span.name != "call" or not span.fields.get("metered"):
        return None
    return _OPERATIONS.get(str(span.fields.get("service")))


def name_of(span: Span) -> str:
    """One of few names: `run`, `stage screen`, `chat gpt-5-mini`, `call search`."""
    operation = operation_of(span)
    if operation is not None:
        return f"{operation} {span.fields.get('model', '')}".rstrip()
    detail = span.fields.get({"stage": "stage", "call": "service"}.get(span.name, ""), "")
    return f"{span.name} {detail}".rstrip()


def attributes_of(span: Span) -> Attributes:
    """A span's fields by the conventions' names, and ours where they have none."""
    found = _renamed(span.fields, _OF_MODELS if operation_of(span) else {})
    found.update(model_of(span))
    if span.error is not None:
        found["error.type"] = span.error
    return found


def own_names(fields: Mapping[str, SpanField]) -> Attributes:
    """Fields under our own prefix."""
    return _renamed(fields, {})


def model_of(span: Span) -> Attributes:
    """Which model was asked for what, as the conventions' metrics want it; none for other spans."""
    operation = operation_of(span)
    if operation is None:
        return {}
    provider = str(span.fields.get("provider"))
    found: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
    }
    model = span.fields.get("model")
    if model is not None:
        found["gen_ai.request.model"] = model
    return found


def _renamed(fields: Mapping[str, SpanField], names: Mapping[str, str]) -> Attributes:
    return {
        names.get(name, _OWN + name): value for name, value in fields.items() if value is not None
    }

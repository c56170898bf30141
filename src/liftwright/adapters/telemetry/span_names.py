"""The names and attributes of our spans in OpenTelemetry.

Calls to a model use the semantic conventions for generative AI (`gen_ai.*`, as of semantic
conventions 1.37, https://opentelemetry.io/docs/specs/semconv/gen-ai/); other attributes start with
`liftwright.`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from liftwright.ports import Span, SpanField

Attributes = dict[str, str | int | float | bool]

_OPERATIONS = {"complete": "chat", "embed": "embeddings"}
_PROVIDERS = {"azure_openai": "azure.ai.openai"}
_MODEL_ATTRIBUTES = {
    "model": "gen_ai.request.model",
    "tokens_input": "gen_ai.usage.input_tokens",
    "tokens_cached_input": "gen_ai.usage.cache_read.input_tokens",
    "tokens_output": "gen_ai.usage.output_tokens",
}
_PREFIX = "liftwright."


def operation_of(span: Span) -> str | None:
    """The conventions' operation of a call to a model service; None for any other span."""
    if span.name != "call" or not span.fields.get("metered"):
        return None
    return _OPERATIONS.get(str(span.fields.get("service")))


def name_of(span: Span) -> str:
    """A span's name of low cardinality: `run`, `stage screen`, `chat gpt-5-mini`, `call search`."""
    operation = operation_of(span)
    if operation is not None:
        return f"{operation} {span.fields.get('model', '')}".rstrip()
    detail = span.fields.get({"stage": "stage", "call": "service"}.get(span.name, ""), "")
    return f"{span.name} {detail}".rstrip()


def attributes_of(span: Span) -> Attributes:
    """A span's fields, with the conventions' names where they have one."""
    attributes = _renamed(span.fields, _MODEL_ATTRIBUTES if operation_of(span) else {})
    attributes.update(model_of(span))
    if span.error is not None:
        attributes["error.type"] = span.error
    return attributes


def own_names(fields: Mapping[str, SpanField]) -> Attributes:
    """Fields with our prefix."""
    return _renamed(fields, {})


def model_of(span: Span) -> Attributes:
    """The attributes that the conventions' metrics require of a model call; else empty."""
    operation = operation_of(span)
    if operation is None:
        return {}
    provider = str(span.fields.get("provider"))
    attributes: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": _PROVIDERS.get(provider, provider),
    }
    model = span.fields.get("model")
    if model is not None:
        attributes["gen_ai.request.model"] = model
    return attributes


def _renamed(fields: Mapping[str, SpanField], names: Mapping[str, str]) -> Attributes:
    return {
        names.get(name, _PREFIX + name): value
        for name, value in fields.items()
        if value is not None
    }

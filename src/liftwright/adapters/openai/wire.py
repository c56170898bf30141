"""Shared by all services behind the `openai` package: one attempt, its errors, usage and cost."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from liftwright.adapters.http_errors import SLUG, status_error
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.log import event
from liftwright.model import Completion, Tokens, Usage
from liftwright.ports import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import openai

    from liftwright.config import Price
    from liftwright.model import Identity

    Body = Mapping[str, object]

__all__ = [
    "MESSAGE_SCHEMA",
    "code_of",
    "complete",
    "is_filter",
    "no_account",
    "post",
    "response_error",
    "tokens_of",
    "valid_utf8",
]

MESSAGE_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"subject": {"type": "string"}, "body": {"type": "string"}},
    "required": ["subject", "body"],
    "additionalProperties": False,
}

_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "responsible_ai_policy"})


def complete(
    reply: Callable[[], Body],
    text_of: Callable[[Body], str],
    *,
    identity: Identity,
    token_keys: tuple[str, str],
    price: Price | None,
) -> Completion:
    """A writer's reply as a completion, with its billed tokens.

    Args:
        reply: makes the attempt.
        text_of: gives the text of the reply, or raises a `ProviderError`.
        identity: the writer's; its model is used if the reply does not name one.
        token_keys: as for `tokens_of`.
        price: of the model; None if unknown.
    """
    with Meter() as meter:
        body = reply()
        tokens = tokens_of(body, *token_keys, identity=identity)
        if tokens is not None:
            meter.add(Usage(tokens=tokens))
        text = text_of(body)
    model, tokens = body.get("model"), tokens or Tokens()
    return Completion(
        text=text,
        model=model if isinstance(model, str) and model else identity.model,
        tokens=tokens,
        cost_usd=0.0 if price is None else price.usd(Usage(tokens=tokens)),
    )


def post(
    service: str,
    timeout_seconds: float,
    send: Callable[[], AbstractContextManager[openai.APIResponse[Any]]],
    error_of: Callable[[openai.APIStatusError], Exception],
) -> Body:
    """Make one attempt and return the reply's JSON object.

    Args:
        service: its name in messages.
        timeout_seconds: the time-out of the whole reply.
        send: sends the request, with one of the vendor's streaming methods.
        error_of: translates a response with an error status.

    Raises:
        ProviderUnavailable: time-out, lost connection, or a reply that is not a JSON object.
    """
    import openai

    deadline = time.monotonic() + timeout_seconds
    late = ProviderUnavailable(f"{service} gave no complete reply within {timeout_seconds:g} s")
    try:
        with send() as response:
            chunks = []
            # Read in chunks, as a slow trickle of bytes never triggers a read time-out.
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                if time.monotonic() > deadline:
                    raise late
    # Without their causes: the vendor's errors may repeat the key or the prompt.
    except openai.APIStatusError as error:
        raise error_of(error) from None
    except openai.APITimeoutError:
        raise late from None
    except openai.OpenAIError:
        raise ProviderUnavailable(f"{service} cannot be reached") from None
    except _transport_errors() as error:
        if "timeout" in type(error).__name__.lower():
            raise late from None
        raise ProviderUnavailable(f"{service}'s reply was cut off") from None
    return _parsed(service, b"".join(chunks))


def no_account() -> Mapping[str, openai.Omit]:
    """Headers that omit OPENAI_ORG_ID and OPENAI_PROJECT_ID, which belong to OpenAI's service."""
    import openai

    return {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}


def valid_utf8(text: str) -> str:
    """The text without lone surrogates, such as half an emoji, which UTF-8 cannot encode."""
    return text.encode("utf-8", "replace").decode()


def _transport_errors() -> tuple[type[Exception], ...]:
    """The errors of the HTTP library that the vendor's package uses."""
    loaded = (sys.modules.get(name) for name in ("httpx2", "httpx"))
    return tuple(library.RequestError for library in loaded if library is not None)


def _parsed(service: str, raw: bytes) -> Body:
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable(f"{service}'s reply is not JSON") from error
    if not isinstance(reply, dict):
        raise ProviderUnavailable(f"{service}'s reply is not a JSON object")
    return reply


def response_error(
    service: str, error: openai.APIStatusError, hints: Mapping[int, str] | None = None
) -> ProviderRefused | ProviderUnavailable:
    """The error for a response with an error status, without the server's own message.

    Args:
        service: its name in messages.
        error: the response.
        hints: what a person can do about a permanent error, by status.
    """
    code = code_of(error)
    if is_filter(code):
        categories = _filtered(error.body)
        named = f" ({', '.join(categories)})" if categories else ""
        return ProviderRefused(f"{service}'s content filter refused the prompt{named}")
    return status_error(service, error.status_code, error.response.headers, code=code, hints=hints)


def code_of(error: openai.APIStatusError) -> str:
    """The service's code of the error; empty if it is not a single word."""
    code = error.code or error.type
    return code if isinstance(code, str) and SLUG.fullmatch(code) else ""


def is_filter(code: str) -> bool:
    """Whether an error code is a content filter's."""
    return code.lower() in _FILTER_CODES


def _filtered(body: object) -> list[str]:
    """The categories that triggered the content filter."""
    inner = body.get("innererror") if isinstance(body, dict) else None
    results = inner.get("content_filter_result") if isinstance(inner, dict) else None
    if not isinstance(results, dict):
        return []
    return sorted(
        name
        for name, result in results.items()
        if isinstance(result, dict)
        and result.get("filtered") is True
        and isinstance(name, str)
        and SLUG.fullmatch(name)
    )


def tokens_of(reply: Body, input_key: str, output_key: str, *, identity: Identity) -> Tokens | None:
    """The tokens that the service counted; None, with a log line, if it reports none.

    Args:
        reply: has the tokens in `usage`.
        input_key: the key of the prompt's tokens.
        output_key: the key of the reply's tokens.
        identity: the adapter's, for the log.
    """
    usage = reply.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    given, written = _count(usage.get(input_key)), _count(usage.get(output_key))
    if given is None or written is None:
        event("usage_not_reported", agent=identity.provider, level="warning", model=identity.model)
        return None
    details = usage.get(f"{input_key}_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Tokens(input=given, cached_input=min(cached or 0, given), output=written)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None

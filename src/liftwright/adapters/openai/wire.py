"""What all services behind the `openai` package share: one attempt, its faults, what it cost."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from liftwright.adapters.retry_after import retry_after
from liftwright.errors import ProviderRefused, ProviderUnavailable
from liftwright.model import Tokens, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    import openai

    from liftwright.config import Price

    Reply = Mapping[str, object]
    Fault = ProviderRefused | ProviderUnavailable

__all__ = [
    "MESSAGE_SCHEMA",
    "ask",
    "code_of",
    "cost_usd",
    "is_filter",
    "no_account",
    "sendable",
    "status_fault",
    "tokens_of",
]

MESSAGE_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"subject": {"type": "string"}, "body": {"type": "string"}},
    "required": ["subject", "body"],
    "additionalProperties": False,
}

_PASSING = frozenset({408, 409, 425, 429})
_SERVER_FAULT, _TOO_FAST = 500, 429
_LASTING_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "responsible_ai_policy"})
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,60}")


def ask(
    service: str,
    timeout_seconds: float,
    post: Callable[[], AbstractContextManager[openai.APIResponse[Any]]],
    fault: Callable[[openai.APIStatusError], Exception],
) -> Reply:
    """One attempt, bounded in time; the reply as a JSON object.

    Args:
        service: who is asked, in the words of a message.
        timeout_seconds: how long the reply may take in all.
        post: sends the request, by one of the vendor's streaming forms.
        fault: what an answer with an error status amounts to.

    Raises:
        ProviderUnavailable: on a time-out, a lost connection or a reply that is no JSON object.
    """
    import openai

    deadline = time.monotonic() + timeout_seconds
    late = ProviderUnavailable(f"{service} gave no whole reply within {timeout_seconds:g} s")
    try:
        with post() as response:
            pieces = []
            # Read piece by piece: who sends a byte now and then never trips a read time-out.
            for piece in response.iter_bytes():
                pieces.append(piece)
                if time.monotonic() > deadline:
                    raise late
    # Without their causes: what the vendor's errors carry may repeat the key or the prompt.
    except openai.APIStatusError as error:
        raise fault(error) from None
    except openai.APITimeoutError:
        raise late from None
    except openai.OpenAIError:
        raise ProviderUnavailable(f"{service} cannot be reached") from None
    except _transport_errors() as error:
        if "timeout" in type(error).__name__.lower():
            raise late from None
        raise ProviderUnavailable(f"{service}'s reply broke off") from None
    return _parsed(service, b"".join(pieces))


def no_account() -> Mapping[str, openai.Omit]:
    """Headers that keep back the account of OPENAI_ORG_ID and OPENAI_PROJECT_ID: not theirs."""
    import openai

    return {"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()}


def sendable(text: str) -> str:
    """The text as UTF-8 can hold it: half of a broken emoji cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def _transport_errors() -> tuple[type[Exception], ...]:
    """The errors of the library that the vendor's package sends with, whichever that is."""
    loaded = (sys.modules.get(name) for name in ("httpx2", "httpx"))
    return tuple(library.RequestError for library in loaded if library is not None)


def _parsed(service: str, raw: bytes) -> Reply:
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable(f"{service}'s reply is not JSON") from error
    if not isinstance(reply, dict):
        raise ProviderUnavailable(f"{service}'s reply is not a JSON object")
    return reply


# ── What went wrong ───────────────────────────────────────────────────────────────────────────


def status_fault(
    service: str, error: openai.APIStatusError, mend: Mapping[int, str] | None = None
) -> Fault:
    """The error in our words; the server's own could repeat the prompt.

    Args:
        service: who was asked.
        error: its answer.
        mend: what a person can do about a lasting fault, by status.
    """
    status, code = error.status_code, code_of(error)
    if is_filter(code):
        found = _filtered(error.body)
        told = f" ({', '.join(found)})" if found else ""
        return ProviderRefused(f"{service}'s content filter refused the prompt{told}")
    words = f"{service} answered {status}" + (f" ({code})" if code else "")
    if (status in _PASSING or status >= _SERVER_FAULT) and code not in _LASTING_CODES:
        return ProviderUnavailable(
            words,
            retry_after_seconds=retry_after(error.response.headers),
            throttled=status == _TOO_FAST,
        )
    hint = (mend or {}).get(status)
    return ProviderRefused(f"{words}; {hint}" if hint else words)


def code_of(error: openai.APIStatusError) -> str:
    """The service's own name of the fault, where it is a name and no sentence."""
    code = error.code or error.type
    return code if isinstance(code, str) and _SLUG.fullmatch(code) else ""


def is_filter(code: str) -> bool:
    """Whether a fault of this name is a content filter's."""
    return code.lower() in _FILTER_CODES


def _filtered(body: object) -> list[str]:
    """The categories that a content filter names as the cause."""
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
        and _SLUG.fullmatch(name)
    )


# ── What it cost ──────────────────────────────────────────────────────────────────────────────


def tokens_of(reply: Reply, given_key: str, written_key: str) -> Tokens | None:
    """The tokens that the service counted; None where it reports none, which is not guessed.

    Args:
        reply: its `usage` is read.
        given_key: what the tokens of the prompt are called there.
        written_key: what those of the reply are called.
    """
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    given, written = _count(usage.get(given_key)), _count(usage.get(written_key))
    if given is None or written is None:
        return None
    details = usage.get(f"{given_key}_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Tokens(input=given, cached_input=min(cached or 0, given), output=written)


def cost_usd(tokens: Tokens, price: Price | None) -> float:
    """What the tokens cost; nothing where there is no price."""
    return 0.0 if price is None else price.usd(Usage(tokens=tokens))


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None

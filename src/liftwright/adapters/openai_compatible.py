"""A language model behind the OpenAI wire format, such as Ollama or vLLM serve (port Complete).

It speaks `/chat/completions`, which all of them serve. The reply is asked for as JSON by a schema;
a server that does not know schemas refuses that once, and is then asked in words alone.
"""

from __future__ import annotations

import json
import re
import sys
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright.domain import Completion, Identity, Tokens, fingerprint
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable
from liftwright.log import event

if TYPE_CHECKING:
    from collections.abc import Mapping

    import openai

    from liftwright.domain import Prompt
    from liftwright.settings import OpenAICompatible, Price

_PROVIDER = "openai_compatible"
_CODE_VERSION = "1"
_PASSING = frozenset({408, 409, 425, 429})
_NO_SCHEMA = frozenset({400, 415, 422, 501})
_SERVER_FAULT = 500
_LASTING_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation", "responsible_ai_policy"})
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>\s*", re.DOTALL)
_SLUG = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_SCHEMA: Mapping[str, object] = {
    "type": "json_schema",
    "json_schema": {
        "name": "message",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"subject": {"type": "string"}, "body": {"type": "string"}},
            "required": ["subject", "body"],
            "additionalProperties": False,
        },
    },
}


class CompatibleWriter:
    """Asks a server for a draft; one attempt per call, bounded in time.

    Args:
        config: the server, the model and how it is asked.
        api_key: None where the server wants none.
        timeout_seconds: how long it may stay silent, and how long a reply may take in all.
        price: None where the tokens cost nothing.

    Raises:
        ConfigurationError: if the `openai` package is not installed or the address is no URL.
    """

    metered = True

    def __init__(
        self,
        config: OpenAICompatible,
        *,
        api_key: str | None,
        timeout_seconds: float,
        price: Price | None = None,
    ) -> None:
        self._config, self._price = config, price
        self._timeout_seconds = timeout_seconds
        self._client = _open_client(config.base_url, api_key, timeout_seconds)
        self._structured = config.structured_output
        self.identity = Identity(
            provider=_PROVIDER,
            model=config.model,
            version=fingerprint(
                _CODE_VERSION,
                config.base_url.rstrip("/"),
                config.temperature,
                config.max_output_tokens,
                config.structured_output,
            )[:12],
        )

    def __call__(self, request: Prompt, /) -> Completion:
        """The model's draft.

        Raises:
            ProviderUnavailable: on a time-out, an overload, a lost connection or a broken reply.
            ProviderRefused: on credentials, a bad request, a filter, a refusal or a cut-off text.
        """
        reply = self._ask_in_any_form(request.text)
        text = _message_of(reply, self._config.max_output_tokens)
        tokens = _tokens_of(reply)
        if tokens is None:
            event("usage_not_reported", agent=_PROVIDER, level="warning", model=self._config.model)
        model = reply.get("model")
        return Completion(
            text=_THOUGHTS.sub("", text),
            model=model if isinstance(model, str) and model else self._config.model,
            tokens=tokens or Tokens(),
            cost_usd=_cost_usd(tokens or Tokens(), self._price),
        )

    def _ask_in_any_form(self, text: str) -> Mapping[str, object]:
        if not self._structured:
            return self._ask(text, structured=False)
        try:
            return self._ask(text, structured=True)
        except _SchemaRefused as refusal:
            try:
                reply = self._ask(text, structured=False)
            except ProviderRefused:
                # The request itself is at fault, not the schema: keep asking for one.
                raise refusal.cause from None
            self._structured = False
            event(
                "schema_not_supported", agent=_PROVIDER, level="warning", model=self.identity.model
            )
            return reply

    def _ask(self, text: str, *, structured: bool) -> Mapping[str, object]:
        import openai

        deadline = time.monotonic() + self._timeout_seconds
        options: dict[str, object] = {"max_tokens": self._config.max_output_tokens}
        if self._config.temperature is not None:
            options["temperature"] = self._config.temperature
        if structured:
            options["response_format"] = _SCHEMA
        try:
            raw = self._post(text, options, deadline)
        except openai.APIStatusError as error:
            fault = _status_fault(error)
            if structured and error.status_code in _NO_SCHEMA and not _is_filter(_code_of(error)):
                raise _SchemaRefused(fault) from error
            raise fault from error
        except openai.APITimeoutError as error:
            raise self._timed_out() from error
        except openai.OpenAIError as error:
            raise ProviderUnavailable("the language model's server cannot be reached") from error
        except _transport_errors() as error:
            if "timeout" in type(error).__name__.lower():
                raise self._timed_out() from error
            raise ProviderUnavailable("the language model's reply broke off") from error
        return _parsed(raw)

    def _post(self, text: str, options: Mapping[str, object], deadline: float) -> bytes:
        import openai

        # Read piece by piece: a server that sends a byte now and then never trips a read time-out.
        with self._client.chat.completions.with_streaming_response.create(
            model=self._config.model,
            messages=[{"role": "user", "content": text}],
            extra_body=options,
            # The account that OPENAI_ORG_ID and OPENAI_PROJECT_ID name is none of this server's.
            extra_headers={"OpenAI-Organization": openai.Omit(), "OpenAI-Project": openai.Omit()},
        ) as response:
            pieces = []
            for piece in response.iter_bytes():
                pieces.append(piece)
                if time.monotonic() > deadline:
                    raise self._timed_out()
            return b"".join(pieces)

    def _timed_out(self) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"the language model gave no whole reply within {self._timeout_seconds:g} s"
        )


class _SchemaRefused(Exception):  # noqa: N818 - reads as the state it reports
    """The server refused a request that asked for a schema; `cause` is what that amounts to."""

    def __init__(self, cause: ProviderRefused | ProviderUnavailable) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _open_client(base_url: str, api_key: str | None, timeout_seconds: float) -> openai.OpenAI:
    host = urlsplit(base_url).hostname
    if not base_url.startswith(("http://", "https://")) or not host:
        raise ConfigurationError(
            f"azure_config.yaml: openai_compatible.base_url: found {base_url!r}, "
            "allowed: an http or https address such as http://localhost:11434/v1"
        )
    try:
        import openai
    except ImportError as error:
        raise ConfigurationError(
            "adapters.complete is openai_compatible, which needs the package openai: "
            'pip install "liftwright[openai]"'
        ) from error
    # A server on this machine is never behind a proxy, whatever the environment says.
    transport = openai.DefaultHttpxClient(trust_env=host not in _LOOPBACK, timeout=timeout_seconds)
    return openai.OpenAI(
        base_url=base_url,
        api_key=api_key or "none",
        max_retries=0,
        timeout=timeout_seconds,
        http_client=transport,
    )


def _transport_errors() -> tuple[type[Exception], ...]:
    """The errors of the library that the vendor's package sends with, whichever that is."""
    loaded = (sys.modules.get(name) for name in ("httpx2", "httpx"))
    return tuple(library.RequestError for library in loaded if library is not None)


# ── What went wrong ───────────────────────────────────────────────────────────────────────────


def _status_fault(error: openai.APIStatusError) -> ProviderRefused | ProviderUnavailable:
    """The error in our words; the server's own could repeat the prompt."""
    status, code = error.status_code, _code_of(error)
    if _is_filter(code):
        return ProviderRefused("the language model's content filter refused the prompt")
    named = f" ({code})" if code else ""
    if (status in _PASSING or status >= _SERVER_FAULT) and code not in _LASTING_CODES:
        return ProviderUnavailable(
            f"the language model's server answered {status}{named}",
            retry_after_seconds=_retry_after(error.response.headers),
        )
    return ProviderRefused(f"the language model's server answered {status}{named}")


def _code_of(error: openai.APIStatusError) -> str:
    code = error.code or error.type
    return code if isinstance(code, str) and _SLUG.fullmatch(code) else ""


def _is_filter(code: str) -> bool:
    return code.lower() in _FILTER_CODES


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """How many seconds the server asks to wait: milliseconds, seconds or a date."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else None
    try:
        moment = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


# ── The reply ─────────────────────────────────────────────────────────────────────────────────


def _parsed(raw: bytes) -> Mapping[str, object]:
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable("the language model's reply is not JSON") from error
    if not isinstance(reply, dict):
        raise ProviderUnavailable("the language model's reply is not a JSON object")
    return reply


def _message_of(reply: Mapping[str, object], max_output_tokens: int) -> str:
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise ProviderUnavailable("the language model's reply holds no message")
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        raise ProviderRefused("the language model's content filter stopped the text")
    if message.get("refusal"):
        raise ProviderRefused("the language model declined to write the text")
    if finish == "length":
        raise ProviderRefused(
            f"the text was cut off at {max_output_tokens} tokens; "
            "raise openai_compatible.max_output_tokens"
        )
    content = message.get("content")
    if not isinstance(content, str) or not content.strip():
        raise ProviderUnavailable("the language model's message is empty")
    return content


def _tokens_of(reply: Mapping[str, object]) -> Tokens | None:
    """The tokens that the server counted; None where it reports none, which is not guessed."""
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    given, written = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if given is None or written is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    return Tokens(input=given, cached_input=min(cached or 0, given), output=written)


def _count(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _cost_usd(tokens: Tokens, price: Price | None) -> float:
    if price is None:
        return 0.0
    millionths = (
        (tokens.input - tokens.cached_input) * price.input_usd_per_million
        + tokens.cached_input * price.cached_input_usd_per_million
        + tokens.output * price.output_usd_per_million
    )
    return millionths / 1_000_000

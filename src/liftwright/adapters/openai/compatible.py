"""A language model behind the OpenAI wire format, such as Ollama or vLLM serve (port Complete).

It speaks `/chat/completions`, which all of them serve. The reply is asked for as JSON by a schema;
a server that does not know schemas refuses that once, and is then asked in words alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright.adapters.openai.wire import (
    MESSAGE_SCHEMA,
    ask,
    code_of,
    cost_usd,
    is_filter,
    no_account,
    sendable,
    status_fault,
    tokens_of,
)
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable
from liftwright.log import event
from liftwright.model import Completion, Identity, Tokens, Usage, fingerprint
from liftwright.ports import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping

    import openai

    from liftwright.adapters.openai import OpenAICompatible
    from liftwright.config import Price
    from liftwright.model import Prompt

_PROVIDER = "openai_compatible"
_SERVICE = "the language model"
_CODE_VERSION = "2"
_NO_SCHEMA = frozenset({400, 415, 422, 501})
# Where the model's template opens the thought, the reply begins within it.
_THOUGHTS = re.compile(r"\A(?:\s*<think>)?.*?</think>\s*", re.DOTALL)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_SCHEMA: Mapping[str, object] = {
    "type": "json_schema",
    "json_schema": {"name": "message", "strict": True, "schema": MESSAGE_SCHEMA},
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
        self.max_output_tokens = config.max_output_tokens
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
        with Meter() as meter:
            reply = self._ask_in_any_form(request.text)
            tokens = tokens_of(reply, "prompt_tokens", "completion_tokens")
            if tokens is None:
                event(
                    "usage_not_reported", agent=_PROVIDER, level="warning", model=self._config.model
                )
            else:
                meter.add(Usage(tokens=tokens))
            text = _message_of(reply, self._config.max_output_tokens)
        model = reply.get("model")
        return Completion(
            text=text,
            model=model if isinstance(model, str) and model else self._config.model,
            tokens=tokens or Tokens(),
            cost_usd=cost_usd(tokens or Tokens(), self._price),
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
        options: dict[str, object] = {"max_tokens": self._config.max_output_tokens}
        if self._config.temperature is not None:
            options["temperature"] = self._config.temperature
        if structured:
            options["response_format"] = _SCHEMA

        def fault(error: openai.APIStatusError) -> Exception:
            found = status_fault(_SERVICE, error)
            if structured and error.status_code in _NO_SCHEMA and not is_filter(code_of(error)):
                return _SchemaRefused(found)
            return found

        return ask(
            _SERVICE,
            self._timeout_seconds,
            lambda: self._client.chat.completions.with_streaming_response.create(
                model=self._config.model,
                messages=[{"role": "user", "content": sendable(text)}],
                extra_body=options,
                extra_headers=no_account(),
            ),
            fault,
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
    text = _THOUGHTS.sub("", content) if isinstance(content, str) else ""
    if not text.strip():
        raise ProviderUnavailable("the language model's message is empty")
    return text

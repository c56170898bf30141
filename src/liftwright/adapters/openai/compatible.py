"""A language model on an OpenAI-compatible server, such as Ollama or vLLM (port Complete).

It uses `/chat/completions`, which all such servers support. Requests contain a JSON schema for the
reply; after a server has refused one, further requests have none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright.adapters.openai.wire import (
    MESSAGE_SCHEMA,
    code_of,
    complete,
    is_filter,
    no_account,
    post,
    response_error,
    valid_utf8,
)
from liftwright.errors import ConfigurationError, ProviderRefused, ProviderUnavailable
from liftwright.log import event
from liftwright.model import Identity, fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    import openai

    from liftwright.adapters.openai import OpenAICompatible
    from liftwright.config import Price
    from liftwright.model import Completion, Prompt

_PROVIDER = "openai_compatible"
_SERVICE = "the language model"
_CODE_VERSION = "2"
_NO_SCHEMA = frozenset({400, 415, 422, 501})
# If the model's template opens the thinking block, the reply starts inside it.
_THOUGHTS = re.compile(r"\A(?:\s*<think>)?.*?</think>\s*", re.DOTALL)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_SCHEMA: Mapping[str, object] = {
    "type": "json_schema",
    "json_schema": {"name": "message", "strict": True, "schema": MESSAGE_SCHEMA},
}


class CompatibleWriter:
    """Requests a draft from a server; a call makes one attempt, with a time-out.

    Args:
        config: the server, the model and its options.
        api_key: None if the server requires none.
        timeout_seconds: the time-out of the connection, and of the whole reply.
        price: None if the tokens are free.

    Raises:
        ConfigurationError: the `openai` package is not installed or the address is not a URL.
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
            ProviderUnavailable: time-out, overload, lost connection or malformed reply.
            ProviderRefused: credentials, bad request, filter, refusal or truncated text.
        """
        return complete(
            lambda: self._reply(request.text),
            lambda reply: _message_of(reply, self._config.max_output_tokens),
            identity=self.identity,
            token_keys=("prompt_tokens", "completion_tokens"),
            price=self._price,
        )

    def _reply(self, text: str) -> Mapping[str, object]:
        if not self._structured:
            return self._post(text, structured=False)
        try:
            return self._post(text, structured=True)
        except _SchemaRefused as refusal:
            try:
                reply = self._post(text, structured=False)
            except ProviderRefused:
                # The request itself is wrong, not the schema: keep sending one.
                raise refusal.cause from None
            self._structured = False
            event(
                "schema_not_supported", agent=_PROVIDER, level="warning", model=self.identity.model
            )
            return reply

    def _post(self, text: str, *, structured: bool) -> Mapping[str, object]:
        options: dict[str, object] = {"max_tokens": self._config.max_output_tokens}
        if self._config.temperature is not None:
            options["temperature"] = self._config.temperature
        if structured:
            options["response_format"] = _SCHEMA

        def error_of(error: openai.APIStatusError) -> Exception:
            translated = response_error(_SERVICE, error)
            if structured and error.status_code in _NO_SCHEMA and not is_filter(code_of(error)):
                return _SchemaRefused(translated)
            return translated

        return post(
            _SERVICE,
            self._timeout_seconds,
            lambda: self._client.chat.completions.with_streaming_response.create(
                model=self._config.model,
                messages=[{"role": "user", "content": valid_utf8(text)}],
                extra_body=options,
                extra_headers=no_account(),
            ),
            error_of,
        )


class _SchemaRefused(Exception):  # noqa: N818 - reads as the state it reports
    """The server refused a request with a schema; `cause` is the translated error."""

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
    # A server on this machine is never behind a proxy, even if the environment configures one.
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
        raise ProviderUnavailable("the language model's reply contains no message")
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

"""A language model on an OpenAI-compatible server, such as Ollama or vLLM (port Complete).

It uses `/chat/completions`, which all such servers support. Requests contain a JSON schema for the
reply; a server or model that refuses the schema, the temperature or the name of the limit gets
requests without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from liftwright.adapters.http_errors import SLUG, status_error
from liftwright.adapters.openai.wire import (
    MESSAGE_SCHEMA,
    RequestOptions,
    complete,
    no_account,
    post,
    text_of_parts,
    valid_utf8,
)
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.log import silence
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
_FIRST_ERROR, _LAST_ERROR = 400, 599
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
        self._options = RequestOptions(
            _PROVIDER,
            {
                "max_tokens": config.max_output_tokens,
                **({} if config.temperature is None else {"temperature": config.temperature}),
                **({"response_format": _SCHEMA} if config.structured_output else {}),
            },
            # The newer name in the wire format, which some models require.
            renamed={"max_tokens": "max_completion_tokens"},
            guess="response_format",
        )
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
            lambda: self._options.send(lambda options: self._post(request.text, options)),
            lambda reply: _message_of(reply, self._config.max_output_tokens),
            identity=self.identity,
            token_keys=("prompt_tokens", "completion_tokens"),
            price=self._price,
        )

    def _post(self, text: str, options: Mapping[str, object]) -> Mapping[str, object]:
        return post(
            _SERVICE,
            self._timeout_seconds,
            lambda: self._client.chat.completions.with_streaming_response.create(
                model=self._config.model,
                messages=[{"role": "user", "content": valid_utf8(text)}],
                extra_body=options,
                extra_headers=no_account(),
            ),
        )


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
    silence("openai", "httpx", "httpx2")
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
        raise _failed(reply)
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
    return text_of_parts(message.get("content"))


def _failed(reply: Mapping[str, object]) -> ProviderError:
    """The error for a reply without a message, some of which report one with status 200."""
    error = reply.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    status = int(str(code)) if str(code).isdecimal() else 0
    if _FIRST_ERROR <= status <= _LAST_ERROR:
        return status_error(_SERVICE, status, {})
    named = f" ({code})" if isinstance(code, str) and SLUG.fullmatch(code) else ""
    return ProviderUnavailable(f"the language model's reply contains no message{named}")

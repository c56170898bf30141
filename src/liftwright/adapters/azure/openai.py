"""Azure OpenAI: drafts by the Responses API (port Complete) and embeddings (port Embed).

Both use the v1 endpoint, or the older one if a dated api-version is configured, and authenticate
with a key or with a token from Microsoft Entra ID.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from liftwright.adapters.azure.openai_client import SERVICE, hints_by_status, host_of, open_client
from liftwright.adapters.embedded.vector_cache import VectorCache
from liftwright.adapters.openai.wire import (
    MESSAGE_SCHEMA,
    RequestOptions,
    complete,
    is_filter,
    no_account,
    post,
    tokens_of,
    valid_utf8,
)
from liftwright.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from liftwright.log import event
from liftwright.model import Identity, Tokens, Usage, fingerprint
from liftwright.ports import Meter, check_length

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from liftwright.adapters.azure import AzureOpenAI
    from liftwright.config import Price
    from liftwright.model import Completion, Prompt
    from liftwright.ports import Reply, Vectors

    Response = Mapping[str, object]

__all__ = ["AzureOpenAIComplete", "AzureOpenAIEmbed"]

_PROVIDER = "azure_openai"
_COMPLETE_VERSION = "1"
_EMBED_VERSION = "1"
_SCHEMA: Mapping[str, object] = {
    "type": "json_schema",
    "name": "message",
    "strict": True,
    "schema": MESSAGE_SCHEMA,
}
# Temporary errors of a failed reply that came with status 200.
_RETRIED_CODES = ("server_error", "rate_limit_exceeded", "timeout")
_UNFINISHED = ("cancelled", "queued", "in_progress")

# The service allows 8,192 tokens per text and 300,000 per request; a token has at least one byte.
_TEXT_BYTES = 8_191
_BATCH_BYTES = 250_000
_BATCH_TEXTS = 256
_CACHED_TEXTS = 4_096
_MATRIX = 2


class AzureOpenAIComplete:
    """Requests a draft from a deployment; a call makes one attempt, with a time-out.

    Args:
        config: the endpoint, the deployment and its options.
        api_key: the resource's key; None if tokens are used.
        token_provider: gives a token for Cognitive Services; None if a key is used.
        price: of the model; None if unknown.
        timeout_seconds: the time-out of the connection, and of the whole reply.

    Raises:
        ConfigurationError: the package `openai`, a valid address or a credential is missing.
    """

    metered = True

    def __init__(
        self,
        config: AzureOpenAI,
        *,
        api_key: str | None,
        token_provider: Callable[[], str] | None,
        price: Price | None,
        timeout_seconds: float,
    ) -> None:
        self._config, self._price = config, price
        self.max_output_tokens = config.max_output_tokens
        self._timeout_seconds = timeout_seconds
        self._client = open_client(config, api_key, token_provider, timeout_seconds)
        self._hints = hints_by_status(config, "deployment", config.deployment)
        effort = config.reasoning_effort
        self._options = RequestOptions(
            _PROVIDER,
            {
                "text": {"format": _SCHEMA},
                **({} if config.temperature is None else {"temperature": config.temperature}),
                **({} if effort is None else {"reasoning": {"effort": effort}}),
            },
        )
        self.identity = Identity(
            provider=_PROVIDER,
            model=config.model,
            version=fingerprint(
                _COMPLETE_VERSION,
                config.deployment,
                config.api_version,
                host_of(config),
                config.reasoning,
                config.temperature,
                config.max_output_tokens,
                *(() if effort is None else (effort,)),
            )[:12],
        )

    def __call__(self, request: Prompt, /) -> Completion:
        """The deployment's draft.

        Raises:
            ProviderUnavailable: on a time-out, an overload, a lost connection or a broken reply.
            ProviderRefused: on credentials, a bad request, a filter, a refusal or a cut-off text.
        """
        return complete(
            lambda: self._options.send(lambda options: self._post(request.text, options)),
            self._text_of,
            identity=self.identity,
            token_keys=("input_tokens", "output_tokens"),
            price=self._price,
        )

    def _post(self, text: str, options: Mapping[str, object]) -> Response:
        return post(
            SERVICE,
            self._timeout_seconds,
            lambda: self._client.responses.with_streaming_response.create(
                model=self._config.deployment,
                input=valid_utf8(text),
                max_output_tokens=self._config.max_output_tokens,
                store=False,
                extra_body=options,
                extra_headers=no_account(),
            ),
            self._hints,
        )

    def _text_of(self, reply: Response) -> str:
        status = reply.get("status")
        if status == "incomplete":
            raise self._incomplete(reply)
        if status == "failed":
            raise _failed(reply)
        if status != "completed":
            known = status if status in _UNFINISHED else "no response"
            raise ProviderUnavailable(f"{SERVICE}'s reply is {known}, not a completed response")
        parts = list(_parts(reply))
        if any(part.get("type") == "refusal" for part in parts):
            raise ProviderRefused(f"{SERVICE} declined to write the text")
        texts = [part.get("text") for part in parts if part.get("type") == "output_text"]
        return "".join(text for text in texts if isinstance(text, str))

    def _incomplete(self, reply: Response) -> ProviderError:
        details = reply.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        if reason == "content_filter":
            return ProviderRefused(f"{SERVICE}'s content filter stopped the text")
        if reason == "max_output_tokens":
            thought = ", including its reasoning" if self._config.reasoning else ""
            return ProviderRefused(
                f"the text was cut off at {self._config.max_output_tokens} tokens{thought}; "
                "raise azure_openai.max_output_tokens"
            )
        return ProviderUnavailable(f"{SERVICE} did not finish the text and gave no known reason")


class AzureOpenAIEmbed:
    """The port `embed` on a deployment of an embedding model.

    Long texts are truncated to 8,191 bytes, which every model accepts. Texts are sent in batches,
    and recent vectors are cached, so that a retried call pays only for the batches that it lacks.

    Args:
        config: the endpoint, `embedding_deployment` and `embedding_dimensions`.
        api_key: as for drafts.
        token_provider: as for drafts.
        timeout_seconds: the time-out of one batch.

    Raises:
        ConfigurationError: as for drafts, or `embedding_deployment` is null.
    """

    metered = True

    def __init__(
        self,
        config: AzureOpenAI,
        *,
        api_key: str | None,
        token_provider: Callable[[], str] | None,
        timeout_seconds: float,
    ) -> None:
        if config.embedding_deployment is None:
            raise ConfigurationError(
                "azure_config.yaml: azure_openai.embedding_deployment: found null, "
                "allowed: the name of a deployment of an embedding model"
            )
        self._deployment = config.embedding_deployment
        # A deployment can have any name; prices are looked up by the model's.
        self.price_name = config.embedding_model
        self._dimensions = config.embedding_dimensions
        self._length: int | None = None
        self._timeout_seconds = timeout_seconds
        self._client = open_client(config, api_key, token_provider, timeout_seconds)
        self._hints = hints_by_status(config, "embedding_deployment", self._deployment)
        self._cache = VectorCache(_CACHED_TEXTS)
        self.identity = Identity(
            provider=_PROVIDER,
            model=self._deployment,
            version=fingerprint(
                _EMBED_VERSION,
                config.api_version,
                host_of(config),
                self._dimensions,
                *([config.embedding_model] if config.embedding_model else []),
            )[:12],
        )

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        """The texts' vectors in order, as rows of length 1.

        Raises:
            ProviderUnavailable: time-out, overload, lost connection or malformed reply.
            ProviderRefused: credentials, bad request or filter.
        """
        return self.call_with_usage(request).value

    def call_with_usage(self, request: tuple[str, ...], /) -> Reply[Vectors]:
        """As the plain call, with the tokens of the batches that were sent."""
        import numpy as np

        with Meter() as meter:
            if not request:
                # Without configured dimensions, only a vector shows their number.
                width = self._dimensions or self._post([_truncate("")], meter).shape[1]
                return meter.reply(np.zeros((0, width), dtype=np.float32))
            texts = [_truncate(text) for text in request]
            vectors = self._cache.lookup(texts)
            for batch in _batches([text for text in dict.fromkeys(texts) if text not in vectors]):
                new = dict(zip(batch, self._post(batch, meter), strict=True))
                self._cache.store(new)
                vectors |= new
            return meter.reply(np.stack([vectors[text] for text in texts]))

    def _post(self, batch: list[str], meter: Meter) -> Vectors:
        options = {"dimensions": self._dimensions} if self._dimensions else {}
        reply = post(
            SERVICE,
            self._timeout_seconds,
            lambda: self._client.embeddings.with_streaming_response.create(
                model=self._deployment,
                input=batch,
                encoding_format="base64",
                extra_body=options,
                extra_headers=no_account(),
            ),
            self._hints,
        )
        tokens = tokens_of(reply, "prompt_tokens", "total_tokens", identity=self.identity)
        if tokens is not None:
            meter.add(Usage(tokens=Tokens(input=tokens.input)))
        vectors = _vectors_of(reply, len(batch))
        # A deployment can be pointed to another model at any time.
        self._length = self._dimensions or self._length or vectors.shape[1]
        check_length(vectors.shape[1], self._length, self.identity)
        event(
            "texts_embedded",
            agent=_PROVIDER,
            model=self._deployment,
            texts=len(batch),
            tokens=tokens.input if tokens else None,
        )
        return vectors


def _failed(reply: Response) -> ProviderError:
    """The error for a reply with status 200 that reports a failure."""
    error = reply.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    if code in _RETRIED_CODES:
        return ProviderUnavailable(f"{SERVICE} failed to write the text ({code})")
    if isinstance(code, str) and is_filter(code):
        return ProviderRefused(f"{SERVICE}'s content filter stopped the text")
    named = f" ({code})" if isinstance(code, str) and code.replace("_", "").isalnum() else ""
    return ProviderRefused(f"{SERVICE} failed to write the text{named}")


def _parts(reply: Response) -> Iterator[Mapping[str, object]]:
    """The parts of a response's messages, without its reasoning."""
    output = reply.get("output")
    for item in output if isinstance(output, list) else ():
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, list) and item.get("type") == "message":
            yield from (part for part in content if isinstance(part, dict))


def _vectors_of(reply: Response, texts: int) -> Vectors:
    """The vectors of a reply in the order of the texts, each scaled to length 1."""
    import numpy as np

    broken = ProviderUnavailable(f"{SERVICE}'s reply does not have one vector per text")
    data = reply.get("data")
    if not isinstance(data, list) or not all(isinstance(item, dict) for item in data):
        raise broken
    try:
        rows = {item["index"]: item["embedding"] for item in data}
        vectors = np.stack([_vector(rows[index]) for index in range(texts)])
    except (KeyError, TypeError, ValueError) as error:
        raise broken from error
    if vectors.ndim != _MATRIX or len(data) != texts:
        raise broken
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise broken
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit


def _vector(value: object) -> Vectors:
    """A vector: requested as base64 of little-endian floats; some gateways return numbers."""
    import numpy as np

    if isinstance(value, str):
        try:
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
        except binascii.Error as error:
            raise ValueError("not base64") from error
    return np.array(value, dtype=np.float32, ndmin=1)


def _truncate(text: str) -> str:
    # The service refuses an empty text.
    return valid_utf8(text).encode()[:_TEXT_BYTES].decode(errors="ignore") or " "


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        length = len(text.encode())
        if batch and (size + length > _BATCH_BYTES or len(batch) == _BATCH_TEXTS):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += length
    if batch:
        yield batch

"""Shared by all services behind the `openai` package: one attempt, its errors, usage and cost."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from liftwright.adapters.http_errors import SLUG, connection_error, status_error
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
    "RequestOptions",
    "complete",
    "is_filter",
    "no_account",
    "post",
    "text_of_parts",
    "tokens_of",
    "valid_utf8",
]

MESSAGE_SCHEMA: Mapping[str, object] = {
    "type": "object",
    "properties": {"subject": {"type": "string"}, "body": {"type": "string"}},
    "required": ["subject", "body"],
    "additionalProperties": False,
}

# The statuses with which servers refuse a parameter that they do not support.
_REQUEST_REFUSED = frozenset({400, 415, 422, 501})
_TAGS = "think|thinking|thought|thoughts|reasoning|reflection|scratchpad"
_THOUGHTS = re.compile(rf"[<\[]({_TAGS})[>\]].*?[<\[]/\1[>\]]", re.DOTALL | re.IGNORECASE)
_CLOSED = re.compile(rf"\A.*[<\[]/(?:{_TAGS})[>\]]", re.DOTALL | re.IGNORECASE)
_OPENED = re.compile(rf"[<\[](?:{_TAGS})[>\]].*\Z", re.DOTALL | re.IGNORECASE)
# The Harmony format of gpt-oss: <|channel|>analysis<|message|>…<|end|><|channel|>final<|message|>…
_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_MARKER = re.compile(r"<\|\w+\|>.*\Z", re.DOTALL)
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
        text = _final_text(text_of(body))
        if not text.strip():
            raise ProviderUnavailable("the language model's reply contains no text")
    model, tokens = body.get("model"), tokens or Tokens()
    return Completion(
        text=text,
        model=model if isinstance(model, str) and model else identity.model,
        tokens=tokens,
        cost_usd=0.0 if price is None else price.usd(Usage(tokens=tokens)),
    )


class RequestOptions:
    """The optional parameters of requests, without those that the server refuses; thread-safe.

    A parameter that the server names in a refusal is renamed or dropped, and the request is sent
    again. What led to a reply applies to all later requests.

    Args:
        agent: the adapter's name, for the log.
        options: the parameters by name.
        renamed: the newer name of a parameter that is renamed, not dropped.
        guess: the parameter to drop if the server names none; empty drops none.
    """

    def __init__(
        self,
        agent: str,
        options: Mapping[str, object],
        *,
        renamed: Mapping[str, str] | None = None,
        guess: str = "",
    ) -> None:
        self._agent, self._options = agent, options
        self._renamed, self._guess = renamed or {}, guess

    def send(self, request: Callable[[Mapping[str, object]], Body]) -> Body:
        """Send a request with the options that the server accepts.

        Args:
            request: sends it with these options; raises `RequestRefused` if it is refused.
        """
        options, refused = self._options, []
        unnamed: RequestRefused | None = None
        while True:
            try:
                reply = request(options)
            except RequestRefused as error:
                name = error.option(options)
                if not name and not error.parameter and self._guess in options:
                    unnamed, name = error, self._guess
                elif unnamed or not name or name in self._renamed.values():
                    # If dropping the guess did not help, it was not the cause.
                    raise unnamed or error from None
                renamed = {self._renamed[name]: options[name]} if name in self._renamed else {}
                options = {key: options[key] for key in options if key != name} | renamed
                refused.append(name)
                continue
            if refused:
                self._options = options
                event("parameters_refused", agent=self._agent, level="warning", names=refused)
            return reply


class RequestRefused(ProviderRefused):
    """A response that refuses the request itself, perhaps because of one of its parameters.

    Attributes:
        parameter: the parameter in the error's `param`, without a path within it; or empty.
        words: the server's words, which may repeat the request and are never shown.
    """

    def __init__(self, message: str, *, parameter: str, words: str) -> None:
        super().__init__(message)
        self.parameter, self.words = parameter, words

    def option(self, options: Mapping[str, object]) -> str:
        """The first of these options that the response names; empty if it names none."""
        if self.parameter:
            return self.parameter if self.parameter in options else ""
        places = {name: re.search(rf"\b{name}\b", self.words) for name in options}
        found = {name: place.start() for name, place in places.items() if place}
        return min(found, key=found.__getitem__, default="")


def post(
    service: str,
    timeout_seconds: float,
    send: Callable[[], AbstractContextManager[openai.APIResponse[Any]]],
    hints: Mapping[int, str] | None = None,
) -> Body:
    """Make one attempt and return the reply's JSON object.

    Args:
        service: its name in messages.
        timeout_seconds: the time-out of the whole reply.
        send: sends the request, with one of the vendor's streaming methods.
        hints: what a person can do about a permanent error, by status.

    Raises:
        ProviderUnavailable: time-out, overload, lost connection, or a reply that is not a JSON
            object.
        RequestRefused: the request or one of its parameters.
        ProviderRefused: credentials, a filter, or a certificate that is not trusted.
    """
    import openai

    deadline = time.monotonic() + timeout_seconds
    late = ProviderUnavailable(
        f"{service} gave no complete reply within {timeout_seconds:g} s; it may bill the attempt"
    )
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
        raise _status_error(service, error, hints) from None
    except openai.APITimeoutError as error:
        if "Connect" in type(error.__cause__).__name__:
            # Nothing was sent.
            raise ProviderUnavailable(f"{service} cannot be reached") from None
        raise late from None
    except openai.OpenAIError as error:
        raise connection_error(service, error) from None
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
    text = raw.decode("utf-8", "replace").lstrip("\ufeff \r\n")
    if text.startswith(("data:", "event:", ":")):
        return _of_stream(service, text)
    try:
        reply = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ProviderUnavailable(f"{service}'s reply is not JSON") from error
    if not isinstance(reply, dict):
        raise ProviderUnavailable(f"{service}'s reply is not a JSON object")
    return reply


def _of_stream(service: str, text: str) -> Body:
    """The whole reply of an event stream, which some servers send although none was requested."""
    events: list[dict[str, Any]] = []
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    for line in lines:
        try:
            parsed = json.loads(line)
        except (ValueError, RecursionError):
            continue
        events += [parsed] if isinstance(parsed, dict) else []
    whole: dict[str, object] = {}
    written: list[str] = []
    finish: object = "stop" if "[DONE]" in lines else None
    for event_ in events:
        if isinstance(event_.get("response"), dict):
            # The Responses API sends the response so far with each of its first and last events.
            whole = event_["response"]
            continue
        whole |= {key: value for key, value in event_.items() if value is not None}
        choices = event_.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(delta, dict):
            written.append(text_of_parts(delta.get("content")))
            finish = choice.get("finish_reason") or finish
            whole["refusal"] = whole.get("refusal") or delta.get("refusal")
    if written:
        if finish is None:
            raise ProviderUnavailable(f"{service}'s reply was cut off")
        message = {"content": "".join(written), "refusal": whole.pop("refusal")}
        whole["choices"] = [{"message": message, "finish_reason": finish}]
    if not whole:
        raise ProviderUnavailable(f"{service}'s reply is not JSON")
    return whole


def text_of_parts(content: object) -> str:
    """The text of a message's content: a text, or a list of parts of which some are thoughts."""
    if isinstance(content, str):
        return content
    texts = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") in ("text", "output_text"):
            texts.append(part.get("text"))
        elif isinstance(part, str):
            texts.append(part)
    return "".join(text for text in texts if isinstance(text, str))


def _final_text(text: str) -> str:
    """The text without the model's thoughts."""
    channels = _CHANNEL.split(text)
    if len(channels) > 1:
        # Pairs of a channel's name and its text follow what precedes the first channel.
        pairs = zip(channels[1::2], channels[2::2], strict=True)
        finals = [words for name, words in pairs if name == "final"]
        text = _MARKER.sub("", finals[-1]) if finals else ""
    text = _THOUGHTS.sub("", text)
    # A template may open the block, so that the reply begins in it; a block may also be cut off.
    return _OPENED.sub("", _CLOSED.sub("", text)).strip()


def _status_error(
    service: str, error: openai.APIStatusError, hints: Mapping[int, str] | None
) -> ProviderRefused | ProviderUnavailable:
    """The error for a response with an error status, without the server's own message."""
    code = error.code or error.type
    code = code if isinstance(code, str) and SLUG.fullmatch(code) else ""
    if is_filter(code):
        categories = _filtered(error.body)
        named = f" ({', '.join(categories)})" if categories else ""
        return ProviderRefused(f"{service}'s content filter refused the prompt{named}")
    parameter = error.param if isinstance(error.param, str) else ""
    translated = status_error(
        service,
        error.status_code,
        error.response.headers,
        code=code,
        parameter=parameter,
        hints=hints,
    )
    if error.status_code not in _REQUEST_REFUSED:
        return translated
    return RequestRefused(
        str(translated),
        parameter=re.split(r"\W", parameter)[0],
        words=json.dumps(error.body, default=str),
    )


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

"""A paid writer on 127.0.0.1: an OpenAI-compatible server that writes what it was given to write.

It is reached through the adapter for such servers, so every request costs money and goes through
the ledger. Its drafts are those that the embedded composer wrote for the same prompts.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml

from compatible_server import Answer, CompatibleServer, chat_completion, failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from compatible_server import Request

    Before = Callable[[Request, int], Answer | None]

MODEL = "served-model"
INPUT_USD, OUTPUT_USD = 2.0e-6, 8.0e-6  # as the campaign's configuration prices the model
LONGEST_REPLY = 800
CALL_TO_ACTION = "Have a look whenever you like."
_LEAD = re.compile(r"^[^.:]{3,40}: (?=[A-Z])")


class MeteredWriter:
    """Writes the drafts it knows, and keeps count of what it was paid for.

    Attributes:
        before_reply: is told each request and its number from 1, and may answer in its place.
        paid: replies that left, by prompt; a client that died before them is none the wiser.
    """

    def __init__(self, drafts: Mapping[str, tuple[str, str]]) -> None:
        self.before_reply: Before = lambda _, __: None
        self.paid: Counter[str] = Counter()
        self._drafts = drafts
        self._server = CompatibleServer()
        self._server.otherwise = self._answer
        self._lock = threading.Lock()
        self._number = 0
        self._tokens: Counter[str] = Counter()

    @property
    def requests(self) -> int:
        """How many requests came in."""
        return self._number

    @property
    def tokens(self) -> dict[str, int]:
        """The tokens of all replies, as run.json names them."""
        return {"input": self._tokens["input"], "cached_input": 0, "output": self._tokens["output"]}

    @property
    def cost_usd(self) -> float:
        """What all replies came to."""
        return self._tokens["input"] * INPUT_USD + self._tokens["output"] * OUTPUT_USD

    @contextlib.contextmanager
    def running(self) -> Iterator[MeteredWriter]:
        """Within the block, the server answers."""
        with self._server.running():
            yield self

    def serve(self, root: Path) -> None:
        """Have a workspace's messages written here."""
        file = root / "config" / "azure_config.yaml"
        config = yaml.safe_load(file.read_text())
        config["adapters"]["complete"] = "openai_compatible"
        config["openai_compatible"] = {
            "base_url": self._server.url,
            "model": MODEL,
            "max_output_tokens": LONGEST_REPLY,
        }
        file.write_text(yaml.safe_dump(config))

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            self._number += 1
            number = self._number
        other = self.before_reply(request, number)
        if other is not None:
            return other
        return self.write(request)

    def write(self, request: Request) -> Answer:
        """The draft for a request, paid for from now on."""
        if request.prompt not in self._drafts:
            return failure(400, "unknown_prompt")
        subject, body = self._drafts[request.prompt]
        text = json.dumps({"subject": subject, "body": body})
        given, written = len(request.prompt) // 4, len(text) // 4
        with self._lock:
            self.paid[request.prompt] += 1
            self._tokens.update(input=given, output=written)
        usage = {"prompt_tokens": given, "completion_tokens": written}
        return Answer(body=chat_completion(text, usage=usage))


def drafts_of(run: Path) -> dict[str, tuple[str, str]]:
    """What a finished run of the composer wrote, by prompt: its cited sentences, unframed."""
    drafts = {}
    claims = {entry["variant_id"]: entry["claims"] for entry in _read(run / "claims.json")}
    for variant in _read(run / "variants.json")["variants"]:
        sentences = []
        for claim in claims[variant["variant_id"]]:
            if claim["verdict"] == "supported":
                passage = variant["passages"][claim["source"]["index"]]
                said = _LEAD.sub("", claim["text"].partition(" [Source:")[0])
                sentences.append(f"{said} [Source: {passage['title']}, {passage['section']}]")
        body = "\n\n".join([*sentences, CALL_TO_ACTION])
        drafts[variant["prompt"]] = (variant["subject"], body)
    return drafts


def _read(file: Path) -> Any:
    return json.loads(file.read_text())


def most_usd(prompt: str) -> float:
    """What a draft for this prompt can cost at most: two bytes a token, and the longest reply."""
    return len(prompt.encode()) / 2 * INPUT_USD + LONGEST_REPLY * OUTPUT_USD

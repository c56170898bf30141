"""The contract of the port `embed`, which turns texts into vectors."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from azure_server.fixtures import served
from azure_server.openai import KEY, Deployment, OpenAIService
from contracts.promises import (
    ODD_TEXTS,
    Fault,
    Rig,
    check_faults,
    check_port,
    in_threads,
    wire_faults,
)
from liftwright.adapters.azure import AzureOpenAI
from liftwright.adapters.azure.openai import AzureOpenAIEmbed
from liftwright.adapters.embedded.embed import MiniLmEmbed
from liftwright.errors import ModelBroken

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXTS = (
    "The jacket keeps the rain out.",
    "A coat that stays dry in wet weather.",
    "Interest rates were left unchanged.",
    "",
    "Zelt für zwei Personen - 2,4 kg ⛺",
)


def minilm(folder: Path) -> Iterator[Rig]:
    altered = folder / "model.onnx"
    altered.write_bytes(b"not the model")
    yield Rig(
        make=MiniLmEmbed,
        faults={
            "altered model": Fault(arrange=lambda: MiniLmEmbed(altered), error=ModelBroken),
            "missing model": Fault(
                arrange=lambda: MiniLmEmbed(folder / "none.onnx"), error=ModelBroken
            ),
        },
    )


def azure(_: Path) -> Iterator[Rig]:
    # The service's vectors are those of the embedded model.
    mini = MiniLmEmbed()
    service = OpenAIService(
        deployments={
            "vectors": Deployment(model="text-embedding-3-small", dimensions=384),
            "others": Deployment(model="text-embedding-3-large", dimensions=384),
        },
        embed=functools.cache(lambda text, size: mini((text,))[0][:size].tolist()),
    )
    with served(service) as server:

        def make(*, seconds: float = 60, **changes: object) -> AzureOpenAIEmbed:
            values = {
                "endpoint": server.url,
                "deployment": "writer",
                "model": "gpt-5-mini",
                "embedding_deployment": "vectors",
                **changes,
            }
            return AzureOpenAIEmbed(
                AzureOpenAI.model_validate(values),
                api_key=KEY,
                token_provider=None,
                timeout_seconds=seconds,
            )

        yield Rig(
            make=make,
            others={
                "deployment": lambda: make(embedding_deployment="others"),
                "dimensions": lambda: make(embedding_dimensions=256),
                "version": lambda: make(api_version="2024-10-21"),
            },
            metered=True,
            faults=wire_faults(server, "/openai/", make),
            calls=lambda: len(server.requests),
            secret=KEY,
        )


ADAPTERS = {"embedded": minilm, "azure": azure}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from request.param(tmp_path)


def test_port_has_a_stable_identity_and_shows_no_secret(rig: Rig) -> None:
    check_port(rig)


def test_call_gives_one_unit_vector_of_float32_per_text(rig: Rig) -> None:
    vectors = rig.make()(TEXTS)
    assert vectors.shape[0] == len(TEXTS)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_call_without_texts_gives_no_rows_of_the_same_width(rig: Rig) -> None:
    embed = rig.make()
    assert embed(()).shape == (0, embed(TEXTS[:1]).shape[1])


def test_call_keeps_the_order_whatever_the_batch(rig: Rig) -> None:
    embed = rig.make()
    together = embed(TEXTS * 9)
    alone = np.vstack([embed((text,)) for text in TEXTS])
    assert together == pytest.approx(np.vstack([alone] * 9), abs=1e-5)


def test_call_puts_like_meanings_nearer_than_unlike_ones(rig: Rig) -> None:
    rain, coat, rates, *_ = rig.make()(TEXTS)
    assert rain @ coat > rain @ rates + 0.1


def test_call_from_threads_gives_what_single_calls_give(rig: Rig) -> None:
    embed = rig.make()
    requests = [(text, "another") for text in TEXTS]
    alone = [embed(one) for one in requests]
    for got, expected in zip(in_threads(embed, requests), alone, strict=True):
        assert got == pytest.approx(expected, abs=1e-5)


def test_call_that_fails_raises_a_provider_error_in_our_words(rig: Rig) -> None:
    check_faults(rig, TEXTS, "jacket", "Interest")


def test_call_with_odd_text_gives_finite_vectors_of_length_1(rig: Rig) -> None:
    vectors = rig.make()((*ODD_TEXTS.values(), "word " * 20_000))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


def test_call_again_gives_the_same_vectors(rig: Rig) -> None:
    assert np.array_equal(rig.make()(TEXTS), rig.make()(TEXTS))

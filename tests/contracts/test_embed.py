"""The contract of the port `embed`: whoever turns texts into vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from contracts.promises import Fault, Rig, check_identity, check_meter, in_threads
from liftwright.adapters.embedded_embed import MiniLmEmbed
from liftwright.errors import ModelBroken, ProviderError

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


ADAPTERS = {"embedded": minilm}


@pytest.fixture(params=ADAPTERS.values(), ids=ADAPTERS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from request.param(tmp_path)


def test_identity_is_stable_and_changes_with_what_changes_the_reply(rig: Rig) -> None:
    check_identity(rig)


def test_metered_says_whether_calls_cost_or_leave_the_machine(rig: Rig) -> None:
    check_meter(rig)


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
    for row, text in enumerate(TEXTS * 9):
        assert together[row] == pytest.approx(embed((text,))[0], abs=1e-5)


def test_call_puts_like_meanings_nearer_than_unlike_ones(rig: Rig) -> None:
    rain, coat, rates, *_ = rig.make()(TEXTS)
    assert rain @ coat > rain @ rates + 0.1


def test_call_with_a_very_long_text_is_answered(rig: Rig) -> None:
    assert np.isfinite(rig.make()(("word " * 20_000,))).all()


def test_call_from_threads_gives_what_single_calls_give(rig: Rig) -> None:
    embed = rig.make()
    requests = [(text, "another") for text in TEXTS]
    alone = [embed(one) for one in requests]
    for got, expected in zip(in_threads(embed, requests), alone, strict=True):
        assert got == pytest.approx(expected, abs=1e-5)


def test_call_that_fails_raises_a_provider_error(rig: Rig) -> None:
    for fault in rig.faults.values():
        with pytest.raises(fault.error) as caught:
            fault.arrange()(TEXTS)
        assert isinstance(caught.value, ProviderError)
        assert "jacket" not in str(caught.value)

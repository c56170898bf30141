"""`liftwright eval`: the quality of screening, retrieval and grounding on labelled cases."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, TypeVar

from liftwright.agents.grounding import ground_many
from liftwright.agents.safety import CompletedScreen, screen_text, screener_check
from liftwright.agents.safety.message_parts import parts_of
from liftwright.analysis.ranking import auroc, average_precision, ndcg_at, recall_at
from liftwright.calls.concurrency import run_concurrently
from liftwright.campaign.bootstrap import open_context
from liftwright.campaign.evaluation_cases import (
    read_grounding_cases,
    read_retrieval_cases,
    read_safety_cases,
)
from liftwright.campaign.queries import GroundedText
from liftwright.config import environment
from liftwright.config.validation_errors import suggestion
from liftwright.errors import ConfigurationError, DataError, InputError, ProviderRefused
from liftwright.log import Log, logging_to
from liftwright.model import CATEGORIES, Query
from liftwright.model.messages import NOT_JUDGED
from liftwright.wiring import make_ports, read_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from liftwright.campaign.context import RunContext, StageProgress
    from liftwright.campaign.evaluation_cases import SafetyCase
    from liftwright.model import Json
    from liftwright.model.checks import CheckResult

T = TypeVar("T")
_CUTOFF = 10
# Large enough to fill the model's batches, small enough for smooth progress.
_BATCH_SIZE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """The options of `liftwright eval`.

    Attributes:
        what: safety | retrieval | grounding.
        data: the folder of labelled cases.
        floor: the lowest acceptable score; None for the default of `what`.
    """

    what: str
    data: Path
    floor: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """The quality of one agent on labelled cases.

    Attributes:
        n: texts, judged queries, or texts with sources.
        score: the first of `measures`, which is compared with the floor.
        measures: by name; null if not estimable from the cases.
    """

    what: str
    data: str
    n: int
    score: float
    floor: float
    measures: Mapping[str, Json]

    @property
    def ok(self) -> bool:
        """Whether the score reaches the floor."""
        return self.score >= self.floor

    def to_json(self) -> Mapping[str, Json]:
        """The document that `liftwright eval --json` prints."""
        return {
            "what": self.what,
            "data": self.data,
            "n": self.n,
            "score": self.score,
            "floor": self.floor,
            "ok": self.ok,
            "measures": self.measures,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluator:
    """How to evaluate one agent, and the default floor."""

    measure: Callable[[RunContext, Path], tuple[int, Mapping[str, Json]]]
    floor: float


def evaluate(
    root: Path,
    request: EvaluationRequest,
    *,
    notify: Callable[[StageProgress], None] = lambda _: None,
) -> Evaluation:
    """Run the workspace's agents on labelled cases and measure the results.

    Args:
        root: the workspace to evaluate; only its logs change.
        request: what to evaluate, on which cases, and the floor.
        notify: called with the progress.

    Raises:
        InputError: the request, configuration or cases are wrong.
        ProviderError: a case could not be answered; a score without it would be misleading.
    """
    evaluator = _EVALUATORS.get(request.what)
    if evaluator is None:
        raise InputError(
            f"eval: found {request.what!r}, {suggestion(request.what, tuple(_EVALUATORS))}"
        )
    floor = evaluator.floor if request.floor is None else request.floor
    if not 0 <= floor <= 1:
        raise InputError(f"--floor: found {floor:g}, allowed: a number from 0 to 1")
    context = open_context(root, read_settings(root), notify=notify)
    n, measures = evaluator.measure(context, request.data)
    score = next(iter(measures.values()))
    assert isinstance(score, float)  # noqa: S101 - each evaluator returns its score first
    return Evaluation(
        what=request.what, data=str(request.data), n=n, score=score, floor=floor, measures=measures
    )


# ── Safety ────────────────────────────────────────────────────────────────────────────────────


def _measure_safety(context: RunContext, folder: Path) -> tuple[int, Mapping[str, Json]]:
    cases = read_safety_cases(folder)
    if not any({True, False} <= _labels_of(cases, name) for name in CATEGORIES):
        names = ", ".join(CATEGORIES)
        raise DataError(
            f"{folder}: found no category with both 0 and 1, allowed: at least one of {names}"
        )
    with logging_to(Log(context.root / "logs")):
        screened = list(zip(cases, _screen_all(context, cases), strict=True))
    categories = {name: _measure_category(context, name, screened) for name in CATEGORIES}
    harmless = [
        decision for case, decision in screened if case.labels and not any(case.labels.values())
    ]
    areas = [area for c in categories.values() if isinstance(area := c["auroc"], float)]
    return len(cases), {
        "macro_auroc": fmean(areas),
        "not_judged": sum(decision.status == NOT_JUDGED for _, decision in screened),
        "texts_without_harm": len(harmless),
        "block_rate_without_harm": _block_rate(harmless),
        "categories": categories,
    }


def _labels_of(cases: Sequence[SafetyCase], category: str) -> set[bool]:
    return {case.labels[category] for case in cases if category in case.labels}


def _measure_category(
    context: RunContext, category: str, screened: Sequence[tuple[SafetyCase, CheckResult]]
) -> dict[str, Json]:
    threshold = context.settings.safety.threshold_of(category)
    scores, above, labels = [], [], []
    harmful: list[CheckResult] = []
    for case, decision in screened:
        if category not in case.labels:
            continue
        finding = next(f for f in decision.findings if f.category == category)
        scores.append(finding.score or 0.0)
        above.append((finding.severity or 0) > threshold)
        labels.append(case.labels[category])
        if case.labels[category]:
            harmful.append(decision)
    return {
        "n": len(labels),
        "positives": len(harmful),
        "average_precision": _known(average_precision(scores, labels)),
        "auroc": _known(auroc(scores, labels)),
        "recall": _rate(above, labels, of=True),
        "false_positive_rate": _rate(above, labels, of=False),
        "block_rate_of_positives": _block_rate(harmful),
    }


def _screen_all(context: RunContext, cases: Sequence[SafetyCase]) -> Iterator[CheckResult]:
    """The decision on each text, with as few calls as the screener allows."""
    port = context.screen
    for batch in _batches(context, cases):
        # The same parts that `screen_text` screens.
        texts = tuple(
            dict.fromkeys(part.text for case in batch for part in parts_of(case.text, "text"))
        )
        workers = context.concurrency if port.metered else 1
        replies = (
            port.many(texts)
            if port.many is not None
            else tuple(run_concurrently([partial(port, text) for text in texts], workers))
        )
        if len(replies) != len(texts):
            raise ProviderRefused(
                f"the screener returned {len(replies)} replies for {len(texts)} texts"
            )
        screener = CompletedScreen(port, dict(zip(texts, replies, strict=True)))
        checks = [screener_check(screener, context.settings.safety)]
        for case in batch:
            decision = screen_text(case.text, checks)
            is_judged = decision.status != NOT_JUDGED
            if is_judged and any(finding.score is None for finding in decision.findings):
                raise ProviderRefused(f"{case.where}: {decision.reasons[0]}")
            yield decision


# ── Retrieval ─────────────────────────────────────────────────────────────────────────────────


def _measure_retrieval(context: RunContext, folder: Path) -> tuple[int, Mapping[str, Json]]:
    adapter = context.settings.services.adapters.search
    if adapter != "embedded":
        # A service may have only one index, which contains the brand's content.
        raise ConfigurationError(
            f"config/azure_config.yaml: adapters.search: found {adapter!r}, allowed: 'embedded' "
            "for this evaluation, which must not write its cases to a service's index"
        )
    cases = read_retrieval_cases(folder)
    ndcgs, recalls = [], []
    with (
        tempfile.TemporaryDirectory(prefix="liftwright-") as temporary,
        logging_to(Log(context.root / "logs")),
    ):
        ports = make_ports(Path(temporary), context.settings, environment(context.root))
        report = context.calls.make(
            "index",
            lambda: ports.index(cases.documents, progress=context.report_progress),
            local=True,
        )
        search = ports.search(report.name)
        for batch in _batches(context, cases.queries):
            for name, text in batch:
                query = Query(text=text, top_k=_CUTOFF)
                passages = context.calls.make("search", partial(search, query), local=True)
                ranking, gains = [passage.document_id for passage in passages], cases.gains[name]
                ndcgs.append(ndcg_at(_CUTOFF, ranking, gains))
                recalls.append(recall_at(_CUTOFF, ranking, gains))
    return len(cases.queries), {
        f"ndcg_at_{_CUTOFF}": fmean(ndcgs),
        f"recall_at_{_CUTOFF}": fmean(recalls),
        "documents": len(cases.documents),
        "queries_without_relevant": cases.without_relevant,
    }


# ── Grounding ─────────────────────────────────────────────────────────────────────────────────


def _measure_grounding(context: RunContext, folder: Path) -> tuple[int, Mapping[str, Json]]:
    cases = read_grounding_cases(folder)
    labels = [case.supported for case in cases]
    if len(set(labels)) == 1:
        only = str(labels[0]).lower()
        raise DataError(f"{folder}: supported: found only {only}, allowed: both true and false")
    scores, verdicts = [], []
    with logging_to(Log(context.root / "logs")):
        for batch in _batches(context, cases):
            requests = [(case.text, case.sources) for case in batch]
            config = context.settings.experiment.grounding
            for grounded in ground_many(requests, context.ports.embed, config):
                scores.append(grounded.score)
                verdicts.append(GroundedText(id=None, grounded=grounded).supported)
    accepted = _share(verdicts, labels, of=True)
    refused = 1 - _share(verdicts, labels, of=False)
    return len(cases), {
        "auroc": auroc(scores, labels),
        "balanced_accuracy": (accepted + refused) / 2,
        "supported": sum(labels),
        "supported_accepted": accepted,
        "unsupported_refused": refused,
    }


_EVALUATORS = {
    "safety": _Evaluator(measure=_measure_safety, floor=0.7),
    "retrieval": _Evaluator(measure=_measure_retrieval, floor=0.3),
    "grounding": _Evaluator(measure=_measure_grounding, floor=0.6),
}


# ── Measures ──────────────────────────────────────────────────────────────────────────────────


def _batches(context: RunContext, cases: Sequence[T]) -> Iterator[Sequence[T]]:
    """Batches of cases; reports progress."""
    context.report_progress(0, len(cases))
    for first in range(0, len(cases), _BATCH_SIZE):
        batch = cases[first : first + _BATCH_SIZE]
        yield batch
        context.report_progress(first + len(batch), len(cases))


def _share(predictions: Sequence[bool], labels: Sequence[bool], *, of: bool) -> float:
    """The share of True predictions among the cases with label `of`; NaN if there are none."""
    selected = [p for p, label in zip(predictions, labels, strict=True) if label is of]
    return fmean(selected) if selected else math.nan


def _rate(predictions: Sequence[bool], labels: Sequence[bool], *, of: bool) -> float | None:
    return _known(_share(predictions, labels, of=of))


def _block_rate(decisions: Sequence[CheckResult]) -> float | None:
    return fmean(decision.status == "block" for decision in decisions) if decisions else None


def _known(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value

"""Before paying: what a run would call and cost, and what it could show."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.agents import generation
from liftwright.agents.experimentation import (
    OVERALL,
    PlannedPower,
    choose_eligible,
    expected_outcomes,
    plan_power,
    sentences,
)
from liftwright.agents.segmentation import segment_customers
from liftwright.domain import to_json
from liftwright.log import Log, logging_to
from liftwright.settings import read_settings
from liftwright.workspace.opening import make_work
from liftwright.workspace.requests import overrides_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from liftwright.domain import Json, Segment
    from liftwright.settings import Settings
    from liftwright.stages import Work
    from liftwright.workspace.requests import RunRequest

_CHARACTERS_PER_TOKEN = 4
_CHARACTERS_PER_WORD = 6
_PASSAGE_WORDS = 120
_READERS_CHARACTERS = 800  # a segment's description and features in the prompt
_LONGEST_PROMPT = 3  # times a usual one: passages of 200 words, few characters a token, corrections


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCalls:
    """Calls to one port: as many as are expected, and as there can be at most."""

    port: str
    adapter: str
    metered: bool
    expected: int
    at_most: int
    input_tokens: int = 0
    output_tokens: int = 0
    expected_usd: float = 0.0
    at_most_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `liftwright plan` says.

    Attributes:
        answers: per metric a sentence on whether the campaign can answer its question.
        left_out: customers who would be sent nothing, by reason; those whom an earlier run
            assigned are told by the run alone.
    """

    customers: int
    segments: Mapping[str, int]
    arms: Mapping[str, float]
    calls: tuple[PlannedCalls, ...]
    expected_usd: float
    at_most_usd: float
    budget_usd: float | None
    alpha: float
    power: float
    minimum_lift: float
    detectable: tuple[PlannedPower, ...]
    answers: tuple[str, ...]
    left_out: Mapping[str, int]
    warnings: tuple[str, ...] = ()

    def to_json(self) -> Json:
        """The object that `liftwright plan --json` prints."""
        return to_json(self)


def plan_campaign(root: Path, request: RunRequest) -> Plan:
    """Segment the customers, count the calls, and say what the experiment could show."""
    settings = read_settings(root, overrides_of(request))
    with (
        logging_to(Log(root / "logs")),
        contextlib.closing(make_work(root, settings)) as work,
    ):
        report = work.customers
        found = segment_customers(
            work.tables,
            settings.segments,
            seed=settings.experiment.seed,
            absent=report.features_absent,
        )
        experiment = settings.experiment
        eligible = choose_eligible(work.tables, experiment, suppressed=work.suppressed)
        expected = expected_outcomes(work.tables, experiment, among="eligible")
        detectable = plan_power(expected, experiment)
        overall = {row.metric: row for row in detectable if row.segment == OVERALL}
        customers = sum(eligible.sizes.values())
        answers = sentences(overall, customers, experiment.analysis)
        calls = _calls(work, found.segments)
    return Plan(
        customers=found.customers,
        segments=found.sizes,
        arms=settings.experiment.arm_shares(),
        calls=calls,
        expected_usd=round(sum(one.expected_usd for one in calls), 6),
        at_most_usd=round(sum(one.at_most_usd for one in calls), 6),
        budget_usd=settings.services.budget_usd,
        alpha=settings.experiment.analysis.alpha,
        power=settings.experiment.analysis.power,
        minimum_lift=settings.experiment.analysis.minimum_lift,
        detectable=detectable,
        answers=tuple(answers),
        left_out=eligible.left_out,
        warnings=(*report.warnings, *found.warnings, *_unpriced(settings, calls)),
    )


def _calls(work: Work, segments: tuple[Segment, ...]) -> tuple[PlannedCalls, ...]:
    settings, ports = work.settings, work.ports
    names, tones = settings.services.adapters, settings.experiment.tones
    variants = len(segments) * len(tones)
    drafts = variants * (1 + settings.experiment.generation.max_redrafts)
    prompt, reply = _tokens(settings)
    options = settings.services.writer
    price = settings.services.prices.get(options.model) if options else None
    each = most = 0.0
    if options and price and ports.complete.metered:
        each = prompt * price.input_usd_per_million + reply * price.output_usd_per_million
        # A long prompt, its corrections included, and the longest reply that is let through.
        longest = prompt * _LONGEST_PROMPT * price.input_usd_per_million
        most = longest + options.max_output_tokens * price.output_usd_per_million
    return (
        PlannedCalls(
            port="complete",
            adapter=names.complete,
            metered=ports.complete.metered,
            expected=variants,
            at_most=drafts,
            input_tokens=variants * prompt if ports.complete.metered else 0,
            output_tokens=variants * reply if ports.complete.metered else 0,
            expected_usd=round(variants * each / 1e6, 6),
            at_most_usd=round(drafts * most / 1e6, 6),
        ),
        PlannedCalls(
            port="search",
            adapter=names.search,
            metered=ports.index.metered,
            expected=len(segments),
            at_most=len(segments),
        ),
        PlannedCalls(
            port="screen",
            adapter=names.screen,
            metered=ports.screen.metered,
            expected=variants + 1,
            at_most=variants + 1,
        ),
    )


def _unpriced(settings: Settings, calls: tuple[PlannedCalls, ...]) -> Iterator[str]:
    options = settings.services.writer
    paid = any(one.port == "complete" and one.metered for one in calls)
    if paid and options and options.model not in settings.services.prices:
        yield f"the model {options.model!r} has no price: its calls count as 0 USD"


def _tokens(settings: Settings) -> tuple[int, int]:
    """The tokens of a usual prompt and reply."""
    limits, _ = generation.channel_limits(settings.channel)
    passages = settings.experiment.retrieval.top_k * _PASSAGE_WORDS * _CHARACTERS_PER_WORD
    tone = max(len(settings.prompts[f"tone_{tone}"]) for tone in settings.experiment.tones)
    prompt = len(settings.prompts["base_template"]) + tone + passages + _READERS_CHARACTERS
    reply = limits.body_max_words * _CHARACTERS_PER_WORD
    return prompt // _CHARACTERS_PER_TOKEN, reply // _CHARACTERS_PER_TOKEN

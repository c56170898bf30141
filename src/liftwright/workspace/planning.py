"""Before paying: what a run would call and cost, and what it could show."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from liftwright.agents import generation
from liftwright.agents.segmentation import segment_customers
from liftwright.domain import CONTROL, to_json
from liftwright.log import Log, logging_to
from liftwright.settings import read_settings
from liftwright.stats import sample_size, smallest_detectable_effect
from liftwright.workspace.opening import make_work
from liftwright.workspace.requests import overrides_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from liftwright.domain import Json, Segment
    from liftwright.settings import Settings
    from liftwright.stages import Work
    from liftwright.workspace.requests import RunRequest

NOTABLE_LIFT = 0.10
OVERALL = "all"
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
class PlannedPower:
    """What one metric could show in one segment, or over all of them.

    Attributes:
        base_rate: the control's rate, from the customers' history.
        per_arm: customers of the smallest treatment arm; `control` those of the control.
        smallest_lift: relative, detected with the configured power; None where none is.
        customers_needed: in all arms together, to detect a lift of +10 %; None where unknown.
    """

    segment: str
    metric: str
    base_rate: float
    per_arm: int
    control: int
    smallest_lift: float | None
    customers_needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What `liftwright plan` says.

    Attributes:
        answers: per metric a sentence on whether the campaign can answer its question.
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
    detectable: tuple[PlannedPower, ...]
    answers: tuple[str, ...]
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
        detectable = _detectable(work, found.sizes)
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
        detectable=detectable,
        answers=_answers(detectable, found.customers, settings),
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


def _detectable(work: Work, sizes: Mapping[str, int]) -> tuple[PlannedPower, ...]:
    simulation = work.settings.experiment.simulation
    rows = work.tables.rows(
        "select segment, avg(historical_open_rate), avg(historical_click_rate) "
        "from segmented inner join customers using (customer_id) group by segment order by segment"
    )
    rates: dict[str, dict[str, float]] = {}
    for segment, opened, clicked in rows:
        click = cast("float | None", clicked)
        click = simulation.default_click_rate if click is None else click
        open_rate = cast("float | None", opened)
        rates[str(segment)] = {
            "open_rate": simulation.default_open_rate if open_rate is None else open_rate,
            "click_rate": click,
            "conversion_rate": click * simulation.conversion_rate_of_clicks,
        }
    whole = sum(sizes.values())
    rates = {
        OVERALL: {
            metric: sum(rates[s][metric] * sizes[s] for s in rates) / whole
            for metric in ("open_rate", "click_rate", "conversion_rate")
        },
        **rates,
    }
    return tuple(
        _power(
            segment, metric, base, whole if segment == OVERALL else sizes[segment], work.settings
        )
        for segment, of_metric in rates.items()
        for metric, base in of_metric.items()
    )


def _power(
    segment: str, metric: str, base: float, customers: int, settings: Settings
) -> PlannedPower:
    shares, analysis = settings.experiment.arm_shares(), settings.experiment.analysis
    smallest = min(share for arm, share in shares.items() if arm != CONTROL)
    per_arm, control = int(customers * smallest), int(customers * shares[CONTROL])
    lift = needed = None
    if 0 < base < 1 and per_arm and control:
        effect = smallest_detectable_effect(
            base, per_arm, control, alpha=analysis.alpha, power=analysis.power
        )
        lift = None if effect is None else effect / base
        if base * (1 + NOTABLE_LIFT) < 1:
            treated, _ = sample_size(
                base,
                base * NOTABLE_LIFT,
                alpha=analysis.alpha,
                power=analysis.power,
                treatment_per_control=smallest / shares[CONTROL],
            )
            needed = math.ceil(treated / smallest)
    return PlannedPower(
        segment=segment,
        metric=metric,
        base_rate=round(base, 6),
        per_arm=per_arm,
        control=control,
        smallest_lift=None if lift is None else round(lift, 6),
        customers_needed=needed,
    )


def _answers(
    detectable: tuple[PlannedPower, ...], customers: int, settings: Settings
) -> tuple[str, ...]:
    power = settings.experiment.analysis.power
    sentences = []
    for row in detectable:
        if row.segment != OVERALL:
            continue
        name = row.metric.replace("_", " ")
        if row.smallest_lift is None or row.customers_needed is None:
            sentences.append(f"{name}: no lift can be detected with {customers:,} customers.")
        elif row.smallest_lift <= NOTABLE_LIFT:
            sentences.append(
                f"{name}: {customers:,} customers detect a lift of {row.smallest_lift:+.1%} "
                f"or more with {power:.0%} power."
            )
        else:
            sentences.append(
                f"{name}: underpowered. {customers:,} customers detect only a lift of "
                f"{row.smallest_lift:+.0%} or more with {power:.0%} power; a lift of +10 % needs "
                f"about {row.customers_needed:,} customers."
            )
    return tuple(sentences)

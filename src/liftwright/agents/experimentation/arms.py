"""Assigns each customer's arm as a pure function of segment and id, and checks the balance.

Customers are ordered by md5(salt || customer_id). In each segment every arm takes one range of that
order, as long as its exact share. Customers are counted by hash bucket, a prefix of the hash. Only
the hashes in the buckets where a range ends are read and sorted. The result is a cut point per
range (a slice), which assigns customers on any engine, late arrivals included.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping  # noqa: TC003 - read at run time when arms.json is read back
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.agents.experimentation.design import AGENT, Design
from liftwright.analysis import Moments
from liftwright.analysis.result import FeatureBalance
from liftwright.data import identifier, literal, text_at
from liftwright.errors import IntegrityError
from liftwright.model import CONTROL, FEATURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.data import Tables

# Hex digits of the hash's first word; a bucket is a prefix of it.
_WORD_DIGITS = 8
# Shares are decimal fractions; this restores 0.1 from its nearest binary number.
_MAX_DENOMINATOR = 10**9
# A standardised difference above this is commonly called an imbalance.
_MIN_IMBALANCE = 0.1
# With twenty comparisons, chance exceeds this in one experiment of twenty.
_MIN_STANDARD_ERRORS = 3.0
_DECIMALS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class HashRange:
    """An arm's range of a segment's hashes: from `start` in hex up to the next range's start.

    A start has as many digits as it takes to separate the ranges, nearly always 8.
    """

    arm: str
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """The assignment, with everything needed to assign late arrivals.

    Attributes:
        slices: Per segment, the arms in the order of their hash ranges; the first starts at "".
        counts: Customers per segment and arm.
        balance: Differences in features between each arm and the control.
        assigned_at: ISO-8601 time in UTC.
        left_out: Customers without an arm, by reason.
        warnings: About the exclusions.
    """

    design: Design
    slices: Mapping[str, tuple[HashRange, ...]]
    counts: Mapping[str, Mapping[str, int]]
    balance: tuple[FeatureBalance, ...]
    assigned_at: str
    left_out: Mapping[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def assign(  # noqa: PLR0913 - all but three are for late arrivals
    tables: Tables,
    design: Design,
    assigned_at: str,
    *,
    among: str = "segmented",
    earlier: Assignment | None = None,
    known: str | None = None,
) -> Assignment:
    """Create the table `assignments`: one arm and one variant for each customer of `among`.

    The table is computed at each use; write it to a file to compute it once.

    Args:
        tables: Hold `among` and `customers`.
        design: The experiment's design.
        assigned_at: The time to record, ISO-8601 in UTC.
        among: A table with one row per customer: `customer_id`, `segment`; features in it are
            carried along.
        earlier: An earlier assignment, whose hash ranges assign late arrivals.
        known: A table of assignments that precede those of `among`.

    Raises:
        IntegrityError: A customer would get an unapproved variant, or has no arm.
    """
    carried = _carried(tables, among)
    _hash(tables, design, among, carried)
    slices = earlier.slices if earlier else _divide_segments(tables, design)
    statement = tables.sql(
        "assign",
        **_assigned_by(slices, design),
        assigned_at=literal(assigned_at),
        carried=carried,
    )
    if known is not None:
        tables.keep("newly_assigned", statement, stored=False)
        statement = tables.sql("assigned_late", known=identifier(known))
    tables.keep("assignments", statement, stored=False)
    counts, moments = _count(tables, design)
    if earlier is None:
        _check_counts(design, counts)
    log.event(
        "customers_assigned", agent=AGENT, customers=sum(map(_total, counts.values())), arms=counts
    )
    return Assignment(
        design=design,
        slices=slices,
        counts=counts,
        balance=compare_arms(moments, tuple(arm.name for arm in design.arms[1:])),
        assigned_at=assigned_at,
    )


def exact_counts(size: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Customers per arm: each share rounded down, the rest to the largest remainders.

    Args:
        size: Number of customers.
        shares: Each arm's share, with any positive sum; ties of remainders follow this order.
    """
    exact = {
        arm: Fraction(share).limit_denominator(_MAX_DENOMINATOR) for arm, share in shares.items()
    }
    whole = sum(exact.values())
    quotas = {arm: size * share / whole for arm, share in exact.items()}
    counts = {arm: math.floor(quota) for arm, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda arm: counts[arm] - quotas[arm])
    for arm in by_remainder[: size - sum(counts.values())]:
        counts[arm] += 1
    return counts


def _rotated(design: Design, segment: str) -> dict[str, float]:
    """The segment's arms and shares, starting with another arm in each segment.

    Otherwise one arm would get the odd customer of every segment.
    """
    arms = list(design.shares[segment].items())
    start = sorted(design.shares).index(segment) % len(arms)
    return dict(arms[start:] + arms[:start])


def _hash(tables: Tables, design: Design, among: str, carried: str) -> None:
    """Create the table `hashed`, computed once, as hashing takes long."""
    segments = sorted(design.sizes)
    cases = " ".join(f"when {literal(segment)} then {n}" for n, segment in enumerate(segments, 1))
    tables.materialize(
        "hashed_numbers",
        tables.sql(
            "hashed",
            among=identifier(among),
            salt=literal(design.salt),
            segment=f"case segment {cases} end",
            carried=carried,
        ),
    )
    _check_segments(tables, among, segments)
    words = ", ".join(f"cast(word_{n} as bigint) as word_{n}" for n in range(4))
    tables.keep(
        "hashed",
        f"select customer_id, {text_at(segments, 'segment_number')} as segment, "  # noqa: S608 - built
        f"{words}{carried} from hashed_numbers",
        stored=False,
    )


def _check_segments(tables: Tables, among: str, segments: Sequence[str]) -> None:
    ((unknown,),) = tables.rows("select count(*) from hashed_numbers where segment_number is null")
    if unknown:
        known = ", ".join(map(literal, segments))
        found = tables.rows(
            f"select distinct segment from {identifier(among)} where segment not in ({known})"  # noqa: S608 - quoted
        )
        names = sorted(str(segment) for (segment,) in found)
        raise IntegrityError(
            f"assign: {unknown} customers are in segments without a design: {names}"
        )


def _divide_segments(tables: Tables, design: Design) -> dict[str, tuple[HashRange, ...]]:
    digits = _bucket_digits(design)
    buckets: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for segment, prefix, customers in tables.rows(
        tables.sql("hash_bucket_counts", step=_step(digits))
    ):
        buckets[str(segment)].append((f"{prefix:0{digits}x}", cast("int", customers)))
    sizes = {segment: sum(n for _, n in found) for segment, found in buckets.items()}
    if sizes != {segment: size for segment, size in design.sizes.items() if size}:
        raise IntegrityError(f"assign: segments hold {sizes}, designed for {dict(design.sizes)}")
    starts = {
        segment: _start_ranks(exact_counts(size, _rotated(design, segment)))
        for segment, size in sizes.items()
    }
    positions = {
        segment: _find_buckets(sorted(found), [rank for _, rank in starts[segment]])
        for segment, found in buckets.items()
    }
    wanted = sorted({bucket for found in positions.values() for bucket, _ in found if bucket})
    hashes = _hashes_in(tables, design.salt, digits, wanted)
    return {
        segment: tuple(
            HashRange(arm=arm, start=_start(hashes, segment, *position))
            for (arm, _), position in zip(starts[segment], positions[segment], strict=True)
        )
        for segment in sorted(starts)
    }


def _bucket_digits(design: Design) -> int:
    """Digits for about as many buckets as hashes in one bucket."""
    work = sum(design.sizes.values()) * len(design.arms)
    return min(max(round(math.log(work, 16) / 2), 1), _WORD_DIGITS)


def _step(digits: int) -> str:
    """How many first words a bucket of so many digits has."""
    return str(16 ** (_WORD_DIGITS - digits))


def _start_ranks(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Each arm and the rank, from 0, of its first customer in the order of the hashes."""
    starts, rank = [], 0
    for arm, count in counts.items():
        starts.append((arm, rank))
        rank += count
    return starts


def _find_buckets(
    buckets: Sequence[tuple[str, int]], ranks: Sequence[int]
) -> list[tuple[str, int]]:
    """For each rank its bucket, and the rank within the bucket; ("", 0) for the first rank.

    A rank past the end (the last arms have no customers) is in the last bucket, past its end.
    """
    found = []
    index, before = 0, 0
    for rank in ranks:
        while index < len(buckets) - 1 and before + buckets[index][1] <= rank:
            before += buckets[index][1]
            index += 1
        found.append((buckets[index][0], rank - before) if rank else ("", 0))
    return found


def _hashes_in(
    tables: Tables, salt: str, digits: int, buckets: Sequence[str]
) -> dict[tuple[str, str], list[str]]:
    """The sorted hashes in each segment and bucket."""
    hashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    if not buckets:
        return hashes
    statement = tables.sql(
        "boundary_hashes",
        salt=literal(salt),
        step=_step(digits),
        cells=", ".join(str(int(bucket, 16)) for bucket in buckets),
    )
    for segment, value in tables.rows(statement):
        hashes[str(segment), str(value)[:digits]].append(str(value))
    for found in hashes.values():
        found.sort()
    return hashes


def _start(
    hashes: Mapping[tuple[str, str], Sequence[str]], segment: str, bucket: str, rank: int
) -> str:
    if not bucket:
        return ""
    found = hashes[segment, bucket]
    if rank >= len(found):
        # An arm without customers at the end starts just after the last hash.
        return found[-1] + "0"
    # The first word is enough unless the previous hash has the same one.
    word = found[rank][:_WORD_DIGITS]
    return word if rank == 0 or found[rank - 1] < word else found[rank]


def _assigned_by(slices: Mapping[str, Sequence[HashRange]], design: Design) -> dict[str, str]:
    """SQL: the number of a customer's slice, and the slice's arm and variant."""
    found: list[tuple[str, str]] = []
    branches = []
    for segment, parts in slices.items():
        cases = []
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            found.append((segment, part.arm))
            if following is None:
                cases.append(f"else {len(found)}")
            else:
                cases.append(f"when {_before(following.start, design.salt)} then {len(found)}")
        inner = f"case {' '.join(cases)} end" if len(cases) > 1 else str(len(found))
        branches.append(f"when segment = {literal(segment)} then {inner}")
    variants = [design.cells.get(segment, {}).get(arm) for segment, arm in found]
    # `cell` is the slice's number in assign.sql.
    return {
        "cell": f"case {' '.join(branches)} end",
        "arm": text_at([arm for _, arm in found], "cell"),
        "variant": text_at(variants, "cell"),
    }


def _before(start: str, salt: str) -> str:
    """SQL: whether a hash comes before `start`; the first word nearly always decides."""
    if not start:
        return "false"
    word = int(start[:_WORD_DIGITS], 16)
    if len(start) == _WORD_DIGITS:
        return f"word_0 < {word}"
    rest = f"md5({literal(salt)} || customer_id) < {literal(start)}"
    return f"word_0 < {word} or (word_0 = {word} and {rest})"


def _carried(tables: Tables, among: str) -> str:
    columns = tables.columns(among)
    return "".join(f", {identifier(name)}" for name in FEATURES if name in columns)


def _count(tables: Tables, design: Design) -> tuple[dict[str, dict[str, int]], FeatureMoments]:
    """Customers per segment and arm, and the moments of their features, in one pass.

    Raises:
        IntegrityError: Customers are assigned to an unapproved variant.
    """
    assigned, alias = tables.with_features("assignments")
    statement = tables.sql(
        "arm_counts",
        approved=", ".join(map(literal, design.approved)),
        assigned=assigned,
        sums=feature_sums(tables, alias),
    )
    found = FeatureMoments()
    counts: dict[str, dict[str, int]] = {
        segment: dict.fromkeys(arms, 0) for segment, arms in design.cells.items()
    }
    for segment, arm, variant_id, customers, allowed, *sums in tables.rows(statement):
        known = allowed and design.cells.get(str(segment), {}).get(str(arm)) == variant_id
        if not known:
            raise IntegrityError(
                f"assign: {customers} customers of segment {segment!r} would get variant "
                f"{variant_id!r} in arm {arm!r}, not approved there; no customer was assigned"
            )
        counts[str(segment)][str(arm)] = cast("int", customers)
        found.add(str(segment), str(arm), sums)
    return counts, found


def _check_counts(design: Design, counts: Mapping[str, Mapping[str, int]]) -> None:
    for segment, size in design.sizes.items():
        expected = exact_counts(size, _rotated(design, segment))
        if dict(counts[segment]) != expected:
            raise IntegrityError(
                f"assign: segment {segment!r} got {dict(counts[segment])}, designed {expected}; "
                "are the ids unique?"
            )


def _total(counts: Mapping[str, int]) -> int:
    return sum(counts.values())


class FeatureMoments:
    """Count, sum and sum of squares of each feature, per segment and arm."""

    def __init__(self) -> None:
        self._found: dict[str, dict[tuple[str, str], Moments]] = {f: {} for f in FEATURES}

    def add(self, segment: str, arm: str, sums: Sequence[object]) -> None:
        """Add the sums of `feature_sums` for one segment and arm."""
        for index, feature in enumerate(FEATURES):
            count, total, square = sums[3 * index : 3 * index + 3]
            if count:
                self._found[feature][segment, arm] = Moments(
                    n=cast("int", count),
                    total=cast("float", total),
                    total_sq=cast("float", square),
                )

    def of(self, feature: str) -> Mapping[tuple[str, str], Moments]:
        """A feature's moments by segment and arm, if any customer has it."""
        return self._found[feature]


def feature_sums(tables: Tables, alias: str) -> str:
    """SQL: the sums for `FeatureMoments.add`, about the middle of each feature's range.

    Args:
        tables: Hold `customers`.
        alias: Table alias of the features in the statement.
    """
    names = [identifier(feature) for feature in FEATURES]
    middles = ", ".join(f"(min({name}) + max({name})) / 2e0" for name in names)
    ((*found,),) = tables.rows(f"select {middles} from customers")  # noqa: S608 - built
    sums = []
    for name, middle in zip(names, found, strict=True):
        value = f"({alias}.{name} - {literal(float(cast('float', middle or 0.0)))})"
        sums.append(f"count({alias}.{name}), sum({value}), sum({value} * {value})")
    return ", ".join(sums)


def compare_arms(moments: FeatureMoments, arms: tuple[str, ...]) -> tuple[FeatureBalance, ...]:
    """Compare each treatment with the control in every feature.

    Args:
        moments: The moments in all segments and arms.
        arms: The treatments.

    Source: Austin (2009), Balance diagnostics for comparing baseline covariates.
    """
    return tuple(
        _compare(moments.of(feature), arm, feature) for arm in arms for feature in FEATURES
    )


def _compare(moments: Mapping[tuple[str, str], Moments], arm: str, feature: str) -> FeatureBalance:
    """Differences within segments, weighted by their information, over the spread within arms."""
    by_segment: dict[str, dict[str, Moments]] = defaultdict(dict)
    for (segment, name), found in moments.items():
        by_segment[segment][name] = found
    pairs = [(s[arm], s[CONTROL]) for s in by_segment.values() if arm in s and CONTROL in s]
    weights = [t.n * c.n / (t.n + c.n) for t, c in pairs]
    spreads = [(m.n, m.variance) for pair in pairs for m in pair if m.n > 1]
    freedom = sum(n - 1 for n, _ in spreads)
    variance = sum((n - 1) * v for n, v in spreads) / freedom if freedom else 0.0
    if not variance:
        return FeatureBalance(arm=arm, feature=feature, difference=None, limit=None)
    total = sum(weights)
    difference = sum(w * (t.mean - c.mean) for w, (t, c) in zip(weights, pairs, strict=True))
    return FeatureBalance(
        arm=arm,
        feature=feature,
        difference=round(difference / total / math.sqrt(variance), _DECIMALS),
        limit=round(max(_MIN_IMBALANCE, _MIN_STANDARD_ERRORS / math.sqrt(total)), _DECIMALS),
    )

"""Each customer's arm, as a pure function of segment and id.

Customers are ordered by md5(salt || customer_id). In each segment every arm takes one slice of that
order, as long as its exact share. A histogram of the hashes' first digits shows in which cells the
slices end; only the hashes in those cells are read and sorted. What remains is a cut point per
slice: it assigns on any engine, and places those who come later.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping  # noqa: TC003 - read at run time when arms.json is read back
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from liftwright import log
from liftwright.agents.experimentation.balance import FeatureMoments, compare_arms, feature_sums
from liftwright.agents.experimentation.design import AGENT, Design
from liftwright.analysis.result import FeatureBalance  # noqa: TC001 - the same
from liftwright.data import identifier, literal, text_at
from liftwright.errors import IntegrityError
from liftwright.model import FEATURES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.data import Tables

# A cell is a part of the hash's first word, of so many hex digits.
_WORD_DIGITS = 8
# Shares are decimal fractions of a file; this brings 0.1 back from its binary neighbour.
_FINEST_SHARE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """An arm's part of a segment's hashes: from `start` in hex up to the next slice's start.

    A start is as long as it takes to part the slices: a hash's first 8 digits nearly always.
    """

    arm: str
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What was assigned, and all that is needed to place a customer who comes later.

    Attributes:
        slices: per segment, the arms in the order of their hashes; the first starts at "".
        counts: customers per segment and arm.
        balance: how alike the arms' customers are.
        assigned_at: when, ISO-8601 in UTC.
        left_out: customers without an arm, by reason.
    """

    design: Design
    slices: Mapping[str, tuple[Slice, ...]]
    counts: Mapping[str, Mapping[str, int]]
    balance: tuple[FeatureBalance, ...]
    assigned_at: str
    left_out: Mapping[str, int] = field(default_factory=dict)


def assign(  # noqa: PLR0913 - all but three are for late arrivals
    tables: Tables,
    design: Design,
    assigned_at: str,
    *,
    among: str = "segmented",
    earlier: Assignment | None = None,
    known: str | None = None,
) -> Assignment:
    """Make the table `assignments`: every customer of `among` one arm and one variant.

    It is computed at each use; write it and read the file to have it once.

    Args:
        tables: holds `among` and `customers`.
        design: of this experiment.
        assigned_at: the time to record, ISO-8601 in UTC.
        among: a table with one row per customer: `customer_id`, `segment`; features in it are
            carried along.
        earlier: where given, its slices hold: late arrivals are placed as if they had been there.
        known: a table of assignments that stand before those of `among`.

    Raises:
        IntegrityError: a customer would be sent what is not approved, or has no arm.
    """
    carried = _carried(tables, among)
    _hash(tables, design, among, carried)
    slices = earlier.slices if earlier else _slice_segments(tables, design)
    statement = tables.sql(
        "assign",
        **_places(slices, design),
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
        size: customers to divide.
        shares: each arm's share, of any positive sum; equal remainders go by this order.
    """
    exact = {arm: Fraction(share).limit_denominator(_FINEST_SHARE) for arm, share in shares.items()}
    whole = sum(exact.values())
    quotas = {arm: size * share / whole for arm, share in exact.items()}
    counts = {arm: math.floor(quota) for arm, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda arm: counts[arm] - quotas[arm])
    for arm in by_remainder[: size - sum(counts.values())]:
        counts[arm] += 1
    return counts


def _rotated(design: Design, segment: str) -> dict[str, float]:
    """The segment's arms and shares; the first differs, so that no arm gets each odd customer."""
    arms = list(design.shares[segment].items())
    start = sorted(design.shares).index(segment) % len(arms)
    return dict(arms[start:] + arms[:start])


def _hash(tables: Tables, design: Design, among: str, carried: str) -> None:
    """Make `hashed`: everyone's hash, once, in a file beside; a hash takes as long as much else."""
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
    _refuse_strangers(tables, among, segments)
    words = ", ".join(f"cast(word_{n} as bigint) as word_{n}" for n in range(4))
    tables.keep(
        "hashed",
        f"select customer_id, {text_at(segments, 'segment_number')} as segment, "  # noqa: S608 - built
        f"{words}{carried} from hashed_numbers",
        stored=False,
    )


def _refuse_strangers(tables: Tables, among: str, segments: Sequence[str]) -> None:
    nobody = "select count(*) from hashed_numbers where segment_number is null"
    ((strangers,),) = tables.rows(nobody)
    if strangers:
        known = ", ".join(map(literal, segments))
        found = tables.rows(
            f"select distinct segment from {identifier(among)} where segment not in ({known})"  # noqa: S608 - quoted
        )
        names = sorted(str(segment) for (segment,) in found)
        raise IntegrityError(
            f"assign: {strangers} customers are in segments without a design: {names}"
        )


def _slice_segments(tables: Tables, design: Design) -> dict[str, tuple[Slice, ...]]:
    width = _cell_digits(design)
    cells: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for segment, cell, customers in tables.rows(
        tables.sql("hash_bucket_counts", step=_step(width))
    ):
        cells[str(segment)].append((f"{cell:0{width}x}", cast("int", customers)))
    sizes = {segment: sum(customers for _, customers in found) for segment, found in cells.items()}
    if sizes != {segment: size for segment, size in design.sizes.items() if size}:
        raise IntegrityError(f"assign: segments hold {sizes}, designed for {dict(design.sizes)}")
    ends = {
        segment: _ends(exact_counts(size, _rotated(design, segment)))
        for segment, size in sizes.items()
    }
    places = {
        segment: _locate(sorted(found), [end for _, end in ends[segment]])
        for segment, found in cells.items()
    }
    wanted = sorted({cell for found in places.values() for cell, _ in found if cell})
    hashes = _hashes_in(tables, design.salt, width, wanted)
    return {
        segment: tuple(
            Slice(arm=arm, start=_start(hashes, segment, place))
            for (arm, _), place in zip(ends[segment], places[segment], strict=True)
        )
        for segment in sorted(ends)
    }


def _cell_digits(design: Design) -> int:
    """So many digits that cells and hashes in one cell are both about the square root of all."""
    work = sum(design.sizes.values()) * len(design.arms)
    return min(max(round(math.log(work, 16) / 2), 1), _WORD_DIGITS)


def _step(width: int) -> str:
    """How many first words a cell of so many digits holds."""
    return str(16 ** (_WORD_DIGITS - width))


def _ends(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Each arm and the rank, from 0, of its first customer in the order of the hashes."""
    ends, rank = [], 0
    for arm, count in counts.items():
        ends.append((arm, rank))
        rank += count
    return ends


def _locate(cells: Sequence[tuple[str, int]], ranks: Sequence[int]) -> list[tuple[str, int]]:
    """For each rank the cell that holds it, and its rank within; ("", 0) for the first of all.

    A rank past the end (the last arms got nobody) is given by the last cell and a rank past its
    end.
    """
    places = []
    index, before = 0, 0
    for rank in ranks:
        while index < len(cells) - 1 and before + cells[index][1] <= rank:
            before += cells[index][1]
            index += 1
        places.append((cells[index][0], rank - before) if rank else ("", 0))
    return places


def _hashes_in(
    tables: Tables, salt: str, width: int, cells: Sequence[str]
) -> dict[tuple[str, str], list[str]]:
    hashes: dict[tuple[str, str], list[str]] = defaultdict(list)
    if not cells:
        return hashes
    statement = tables.sql(
        "boundary_hashes",
        salt=literal(salt),
        step=_step(width),
        cells=", ".join(str(int(cell, 16)) for cell in cells),
    )
    for segment, value in tables.rows(statement):
        hashes[str(segment), str(value)[:width]].append(str(value))
    for found in hashes.values():
        found.sort()
    return hashes


def _start(
    hashes: Mapping[tuple[str, str], Sequence[str]], segment: str, place: tuple[str, int]
) -> str:
    cell, rank = place
    if not cell:
        return ""
    found = hashes[segment, cell]
    if rank >= len(found):
        # An arm without customers after the last hash: it starts just behind it.
        return found[-1] + "0"
    # The first word parts it from the hash before, but where both begin alike.
    word = found[rank][:_WORD_DIGITS]
    return word if rank == 0 or found[rank - 1] < word else found[rank]


def _places(slices: Mapping[str, Sequence[Slice]], design: Design) -> dict[str, str]:
    """SQL of the slice that a customer falls into, and of that slice's arm and variant."""
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
    return {
        "cell": f"case {' '.join(branches)} end",
        "arm": text_at([arm for _, arm in found], "cell"),
        "variant": text_at(variants, "cell"),
    }


def _before(start: str, salt: str) -> str:
    """SQL of whether a hash comes before `start`; its first word tells nearly always."""
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
        IntegrityError: customers are assigned to what is not approved.
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

"""The work of the data plane, hand-written in Polars and pandas, for comparison in `scale.py`.

Both do what a run does to its customers: validate them, fit the score edges, segment everyone by
the weighted rules of segments.yaml with confidence and reason, summarise the segments, assign arms
by the same stratified scheme, compare the arms by feature, simulate, write the same three files,
and count. In their favour, they use their own fast hash instead of md5, use the knowledge that the
shipped rules read only scores, and omit the statistics.
"""

from __future__ import annotations

from math import lcm
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import polars as pl

    Rules = list[tuple[str, list[tuple[str, int]]]]

ARMS = ("control", "urgent", "informational", "friendly")
RATES = ("historical_open_rate", "historical_click_rate")
FEATURES = ("age", "purchase_frequency", "avg_order_value", "last_engagement_days", *RATES)
SCORES = {
    "recency_score": "last_engagement_days",
    "frequency_score": "purchase_frequency",
    "monetary_score": "avg_order_value",
}
FIFTHS = (2, 4, 6, 8)
CELL_BITS = 12
WORD = 2**32
# Mean and standard deviation of the uplift of each treated customer's rates.
UPLIFT = (0.10, 0.05)


def rules_of(config: Path) -> Rules:
    """Each segment's label, and its rules with their weights."""
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    return [
        (rule["label"], [(c["when"], c.get("weight", 1)) for c in rule.get("conditions", [])])
        for rule in content["rules"]
    ]


def edges_of(values: list[float], counts: list[int]) -> list[float]:
    """The values from which a score rises to 2, 3, 4 and 5, from sorted values and their counts."""
    total, upto, edges = sum(counts), 0, []
    wanted = list(FIFTHS)
    for value, count in zip(values, counts, strict=True):
        upto += count
        while wanted and (2 * upto - count) * 5 >= wanted[0] * total:
            edges.append(value)
            wanted.pop(0)
    return edges


def ranks_of(size: int) -> list[int]:
    """The first rank of every arm except the first, in a segment of this size."""
    return [size * arm // len(ARMS) for arm in range(1, len(ARMS))]


def boundary_cells(cells: list[tuple[int, int]], ranks: list[int]) -> list[tuple[int, int]]:
    """The cell of each rank, and the rank within the cell."""
    found, before, wanted = [], 0, list(ranks)
    for cell, count in sorted(cells):
        while wanted and wanted[0] < before + count:
            found.append((cell, wanted.pop(0) - before))
        before += count
    return found


# ── Polars ────────────────────────────────────────────────────────────────────────────────────


def with_polars(source: Path, out: Path, config: Path) -> int:
    """Do the whole work in lazy, streaming Polars; returns the number of customers."""
    import polars as pl

    rows = pl.scan_parquet(source)
    _check_polars(rows)
    scored = rows.with_columns(_scores_polars(rows))
    placed = _place_polars(scored, rules_of(config))
    hashed = placed.with_columns(hash=pl.col("customer_id").hash(1))
    arm = _arms_polars(hashed)
    assigned = hashed.with_columns(arm=arm).with_columns(
        variant_id=pl.concat_str(pl.col("arm"), pl.lit("@"), pl.col("segment")),
        assigned_at=pl.lit("2026-01-02T03:04:05Z").str.to_datetime(time_zone="UTC"),
    )
    engaged = _simulate_polars(assigned)
    keep = ["customer_id", "segment", "arm", "variant_id"]
    wanted = {
        "segmented": placed.select("customer_id", "segment", "confidence", "reason"),
        "assignments": assigned.select(*keep, "assigned_at"),
        "engagement": engaged,
    }
    # Write all files in one pass over the customers.
    sinks = [
        frame.sink_parquet(out / f"{name}.parquet", compression="zstd", lazy=True)
        for name, frame in wanted.items()
    ]
    pl.collect_all(sinks, engine="streaming")
    pl.collect_all([*_summaries_polars(placed), _balance_polars(assigned)], engine="streaming")
    counts = (
        pl.scan_parquet(out / "engagement.parquet")
        .group_by("segment", "arm")
        .agg(
            pl.len(),
            *(pl.col(name).sum() for name in ("delivered", "opened", "clicked", "converted")),
            pl.col("revenue").sum(),
            (pl.col("revenue") ** 2).sum().alias("squares"),
        )
        .collect(engine="streaming")
    )
    return int(counts["len"].sum())


def _check_polars(rows: pl.LazyFrame) -> None:
    import polars as pl

    numbers = [
        (pl.col(f).is_nan() | pl.col(f).is_infinite() | (pl.col(f) < 0)).sum().alias(f"{f}_bad")
        for f in FEATURES
    ]
    numbers += [(pl.col(rate) > 1).sum().alias(f"{rate}_high") for rate in RATES]
    blank = pl.col("customer_id").is_null() | (pl.col("customer_id").str.strip_chars() == "")
    found = rows.select(pl.len(), blank.sum().alias("blank"), *numbers).collect(engine="streaming")
    repeated = (
        rows.group_by("customer_id")
        .agg(pl.len())
        .filter(pl.col("len") > 1)
        .select(pl.len())
        .collect(engine="streaming")
    )
    if sum(found.row(0)[1:]) or repeated.item():
        raise SystemExit("the benchmark's customers should all be good")


def _scores_polars(rows: pl.LazyFrame) -> list[pl.Expr]:
    import polars as pl

    scores = []
    for score, feature in SCORES.items():
        counted = rows.group_by(feature).agg(pl.len()).collect(engine="streaming").sort(feature)
        edges = edges_of(counted[feature].to_list(), counted["len"].to_list())
        above = sum((pl.col(feature) >= edge).cast(pl.Int8) for edge in edges)
        scores.append((5 - above if score == "recency_score" else 1 + above).alias(score))
    return scores


def _place_polars(scored: pl.LazyFrame, rules: Rules) -> pl.LazyFrame:
    import polars as pl

    whole = lcm(*(sum(w for _, w in conditions) for _, conditions in rules if conditions))
    keys = []
    for index, (_, conditions) in enumerate(rules):
        scale = whole // (sum(w for _, w in conditions) or whole)
        points = sum(pl.sql_expr(when).cast(pl.Int32) * (w * scale) for when, w in conditions)
        key = pl.lit(1) if not conditions else points * len(rules) + (len(rules) - 1 - index)
        if conditions:
            key = pl.when(points > 0).then(key).otherwise(0)
        keys.append(key.alias(f"key_{index}"))
    names = [f"key_{index}" for index in range(len(rules))]
    led = scored.with_columns(keys).with_columns(best=pl.max_horizontal(names))
    rivals = [pl.when(pl.col(n) == pl.col("best")).then(0).otherwise(pl.col(n)) for n in names]
    led = led.with_columns(rival=pl.max_horizontal(rivals))
    label, reason = pl.lit(rules[-1][0]), pl.lit("satisfies no other rule")
    for index, (name, conditions) in reversed(list(enumerate(rules))):
        if not conditions:
            continue
        chosen = pl.col("best") == pl.col(f"key_{index}")
        told = [
            pl.when(pl.sql_expr(when)).then(
                pl.concat_str(pl.lit(f"{when} ("), *_values_polars(when), pl.lit(")"))
            )
            for when, _ in conditions
        ]
        reason = (
            pl.when(chosen)
            .then(pl.concat_str(told, separator=" and ", ignore_nulls=True))
            .otherwise(reason)
        )
        label = pl.when(chosen).then(pl.lit(name)).otherwise(label)
    margin = pl.col("best") // len(rules) - pl.col("rival") // len(rules)
    return led.with_columns(segment=label, confidence=(margin / whole).round(4), reason=reason)


def _summaries_polars(placed: pl.LazyFrame) -> list[pl.LazyFrame]:
    """Value counts by segment, from which quartiles, means and most frequent values follow."""
    import polars as pl

    columns = (*FEATURES, "confidence", "tier", "location")
    return [placed.group_by("segment", column).agg(pl.len()) for column in columns]


def _balance_polars(assigned: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    sums = [pl.col(name).sum().alias(f"{name}_sum") for name in FEATURES]
    squares = [(pl.col(name) ** 2).sum().alias(f"{name}_squares") for name in FEATURES]
    return assigned.group_by("segment", "arm").agg(pl.len(), *sums, *squares)


def _values_polars(when: str) -> list[pl.Expr]:
    import polars as pl

    parts = []
    for name in sorted(score for score in SCORES if score in when):
        parts += [pl.lit(f"{', ' if parts else ''}{name} "), pl.col(name).cast(pl.String)]
    return parts


def _arms_polars(hashed: pl.LazyFrame) -> pl.Expr:
    import polars as pl

    cell = (pl.col("hash") // 2 ** (64 - CELL_BITS)).alias("cell")
    counted = hashed.group_by("segment", cell).agg(pl.len()).collect(engine="streaming")
    by_segment: dict[str, list[tuple[int, int]]] = {}
    for segment, at, count in counted.iter_rows():
        by_segment.setdefault(segment, []).append((at, count))
    places = {
        segment: boundary_cells(cells, ranks_of(sum(count for _, count in cells)))
        for segment, cells in by_segment.items()
    }
    wanted = sorted({at for found in places.values() for at, _ in found})
    near = (
        hashed.filter(cell.is_in(wanted))
        .select("segment", "hash", cell)
        .collect(engine="streaming")
        .sort("hash")
    )
    arm = pl.lit(None, dtype=pl.String)
    for segment, found in places.items():
        inner = pl.lit(ARMS[-1])
        for index in reversed(range(len(found))):
            at, rank = found[index]
            of_cell = near.filter((pl.col("segment") == segment) & (pl.col("cell") == at))
            cut = of_cell["hash"][rank]
            inner = pl.when(pl.col("hash") < cut).then(pl.lit(ARMS[index])).otherwise(inner)
        arm = pl.when(pl.col("segment") == segment).then(inner).otherwise(arm)
    return arm


def _simulate_polars(assigned: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    def word(seed: int, half: int) -> pl.Expr:
        hashed = pl.col("customer_id").hash(seed)
        return hashed // WORD if half == 0 else hashed % WORD

    # The standardised sum of four hash bytes is approximately normal.
    byte = [pl.col("customer_id").hash(8) // 256**k % 256 for k in range(4)]
    z = (pl.sum_horizontal(byte).cast(pl.Float64) - 510) / 147.8
    treated = pl.when(pl.col("arm") == ARMS[0]).then(0.0).otherwise(UPLIFT[0] + UPLIFT[1] * z)
    factor = pl.max_horizontal(0.0, 1 + treated)
    rate_open = pl.min_horizontal(1.0, pl.col("historical_open_rate") * factor)
    rate_click = pl.min_horizontal(1.0, pl.col("historical_click_rate") * factor)
    drawn = assigned.with_columns(open_rate=rate_open, click_rate=rate_click)
    rate_open, rate_click = pl.col("open_rate"), pl.col("click_rate")
    drawn = drawn.with_columns(
        delivered=word(2, 0) < 0.98 * WORD,
        both=pl.min_horizontal(
            rate_click - pl.min_horizontal(rate_click * 0.005, 1 - rate_open), rate_open
        ),
    ).with_columns(opened=pl.col("delivered") & (word(2, 1) < rate_open * WORD))
    clicks = (
        pl.when("opened")
        .then(pl.col("both") / rate_open)
        .otherwise((rate_click - pl.col("both")) / (1 - rate_open))
    )
    drawn = drawn.with_columns(clicked=pl.col("delivered") & (word(3, 0) < clicks * WORD))
    drawn = drawn.with_columns(converted=pl.col("clicked") & (word(3, 1) < 0.12 * WORD))
    factors = (0.5 + word(4, 0) / WORD) * (0.5 + word(4, 1) / WORD)
    factors *= 0.5 + word(5, 0) / WORD
    wait = pl.duration(seconds=1 + word(6, 0) % 3600)
    opening = wait + pl.duration(
        seconds=1 + ((word(6, 1) / WORD) ** 2 * 259200).floor().cast(pl.Int64)
    )
    clicking = opening + pl.duration(seconds=1 + word(7, 0) % 900)
    converting = clicking + pl.duration(seconds=1 + word(7, 1) % 86400)
    sent = pl.col("assigned_at")
    return drawn.select(
        *("customer_id", "segment", "arm", "variant_id"),
        *("delivered", "opened", "clicked", "converted"),
        pl.when("converted")
        .then((pl.col("avg_order_value") * factors * 100).round() / 100)
        .otherwise(0.0)
        .alias("revenue"),
        pl.lit("simulated").alias("source"),
        pl.when("delivered").then(sent + wait).alias("delivered_at"),
        pl.when("opened").then(sent + opening).alias("opened_at"),
        pl.when("clicked").then(sent + clicking).alias("clicked_at"),
        pl.when("converted").then(sent + converting).alias("converted_at"),
    )


# ── pandas ────────────────────────────────────────────────────────────────────────────────────


def with_pandas(source: Path, out: Path, config: Path) -> int:
    """Do the same in pandas and numpy, column by column; returns the number of customers."""
    import numpy as np
    import pandas as pd

    rows = pd.read_parquet(source)
    bad = rows["customer_id"].isna() | (rows["customer_id"].str.strip() == "")
    bad |= rows["customer_id"].duplicated()
    for feature in FEATURES:
        bad |= ~np.isfinite(rows[feature]) | (rows[feature] < 0)
    if bad.any():
        raise SystemExit("the benchmark's customers should all be good")
    scores = {}
    for score, feature in SCORES.items():
        counted = rows[feature].value_counts().sort_index()
        edges = edges_of(counted.index.tolist(), counted.tolist())
        above = np.searchsorted(np.array(edges), rows[feature].to_numpy(), side="right")
        scores[score] = (5 - above if score == "recency_score" else 1 + above).astype(np.int16)
    place = (scores["recency_score"] * 6 + scores["frequency_score"]) * 6
    place = (place + scores["monetary_score"]).astype(np.int16)
    table = _places_pandas(rules_of(config), np.unique(place).tolist())
    rows["segment"] = pd.Series(place).map(table["segment"]).astype("category")
    segmented = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "segment": rows["segment"],
            "confidence": pd.Series(place).map(table["confidence"]),
            "reason": pd.Series(place).map(table["reason"]).astype("category"),
        }
    )
    segmented.to_parquet(out / "segmented.parquet", compression="zstd", index=False)
    _summaries_pandas(rows, segmented["confidence"])
    del segmented
    ids = rows["customer_id"].to_numpy(dtype=object)
    _arms_pandas(rows, pd.util.hash_array(ids, hash_key="1" * 16, categorize=False))
    rows["variant_id"] = (rows["arm"].astype(str) + "@" + rows["segment"].astype(str)).astype(
        "category"
    )
    rows["assigned_at"] = pd.Timestamp("2026-01-02T03:04:05Z")
    _balance_pandas(rows)
    keep = ["customer_id", "segment", "arm", "variant_id"]
    rows[[*keep, "assigned_at"]].to_parquet(
        out / "assignments.parquet", compression="zstd", index=False
    )
    engagement = _simulate_pandas(rows, ids)
    engagement.to_parquet(out / "engagement.parquet", compression="zstd", index=False)
    engagement["squares"] = engagement["revenue"] ** 2
    sums = ["delivered", "opened", "clicked", "converted", "revenue", "squares"]
    counts = engagement.groupby(["segment", "arm"], observed=True)[sums].agg(["count", "sum"])
    return int(counts["delivered", "count"].sum())


def _places_pandas(rules: Rules, places: list[int]) -> dict[str, dict[int, object]]:
    """The segment of each combination of scores."""
    import sqlite3

    whole = lcm(*(sum(w for _, w in conditions) for _, conditions in rules if conditions))
    told: dict[str, dict[int, object]] = {"segment": {}, "confidence": {}, "reason": {}}
    combined = sqlite3.connect(":memory:")
    combined.execute(f"create table c ({', '.join(SCORES)})")
    split = [(place // 36, place // 6 % 6, place % 6) for place in places]
    combined.executemany("insert into c values (?, ?, ?)", split)
    satisfied = {
        when: [bool(row[0]) for row in combined.execute(f"select {when} from c order by rowid")]  # noqa: S608 - shipped rules
        for _, conditions in rules
        for when, _ in conditions
    }
    for row, place in enumerate(places):
        best = []
        for index, (label, conditions) in enumerate(rules):
            weight = sum(w for _, w in conditions) or 1
            points = sum(w for when, w in conditions if satisfied[when][row]) * whole // weight
            seen = dict(zip(SCORES, split[row], strict=True))
            met = [_told_pandas(when, seen) for when, _ in conditions if satisfied[when][row]]
            best.append((points, -index, label, met))
        best.sort(reverse=True)
        points, _, label, reasons = best[0] if best[0][0] else (0, 0, rules[-1][0], [])
        told["segment"][place] = label
        told["confidence"][place] = round((points - best[1][0]) / whole, 4)
        told["reason"][place] = " and ".join(reasons) or "satisfies no other rule"
    return told


def _told_pandas(when: str, seen: dict[str, int]) -> str:
    """A rule's text with the scores that it uses."""
    values = ", ".join(f"{name} {seen[name]}" for name in sorted(seen) if name in when)
    return f"{when} ({values})"


def _arms_pandas(rows: pd.DataFrame, hashes: np.ndarray) -> None:
    import numpy as np
    import pandas as pd

    arm = np.zeros(len(rows), dtype=np.int8)
    codes = rows["segment"].cat.codes.to_numpy()
    for code in np.unique(codes):
        inside = np.flatnonzero(codes == code)
        own = hashes[inside]
        ranks = ranks_of(len(own))
        cuts = np.partition(own, ranks)[ranks]
        arm[inside] = np.searchsorted(cuts, own, side="right")
    rows["arm"] = pd.Categorical.from_codes(arm, list(ARMS))


def _summaries_pandas(rows: pd.DataFrame, confidence: pd.Series) -> None:
    """Quartiles, means and standard deviations by segment and overall; most frequent values."""
    import pandas as pd

    numbers = [*FEATURES]
    by_segment = rows.groupby("segment", observed=True)
    by_segment[numbers].agg(["count", "mean", "std", "min", "max"])
    by_segment[numbers].quantile([0.25, 0.5, 0.75])
    rows[numbers].quantile([0.25, 0.5, 0.75])
    confidence.groupby(rows["segment"], observed=True).mean()
    for word in ("tier", "location"):
        pd.crosstab(rows[word], rows["segment"])


def _balance_pandas(rows: pd.DataFrame) -> None:
    by_arm = rows.groupby(["segment", "arm"], observed=True)[[*FEATURES]]
    by_arm.agg(["count", "mean", "var"])


def _simulate_pandas(rows: pd.DataFrame, ids: np.ndarray) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    def words(seed: int) -> tuple[np.ndarray, np.ndarray]:
        hashed = pd.util.hash_array(ids, hash_key=str(seed) * 16, categorize=False)
        return hashed // WORD, hashed % WORD

    one, _ = words(8)
    z = (sum((one // 256**k % 256).astype(np.float64) for k in range(4)) - 510) / 147.8
    treated = np.where(rows["arm"] == ARMS[0], 0.0, UPLIFT[0] + UPLIFT[1] * z)
    factor = np.maximum(0.0, 1 + treated)
    rate_open = np.minimum(1.0, rows["historical_open_rate"].to_numpy() * factor)
    rate_click = np.minimum(1.0, rows["historical_click_rate"].to_numpy() * factor)
    one, two = words(2)
    delivered = one < 0.98 * WORD
    opened = delivered & (two < rate_open * WORD)
    both = np.minimum(rate_click - np.minimum(rate_click * 0.005, 1 - rate_open), rate_open)
    one, two = words(3)
    chance = np.where(opened, both / rate_open, (rate_click - both) / (1 - rate_open))
    clicked = delivered & (one < chance * WORD)
    converted = clicked & (two < 0.12 * WORD)
    buyers = np.flatnonzero(converted)
    draws = np.random.default_rng(4).random((len(buyers), 3)) + 0.5
    revenue = np.zeros(len(rows))
    revenue[buyers] = np.round(rows["avg_order_value"].to_numpy()[buyers] * draws.prod(axis=1), 2)
    one, two = words(6)
    wait = 1 + (one % 3600).astype(np.int64)
    opening = wait + 1 + np.floor((two / WORD) ** 2 * 259200).astype(np.int64)
    one, two = words(7)
    clicking = opening + 1 + (one % 900).astype(np.int64)
    converting = clicking + 1 + (two % 86400).astype(np.int64)
    sent = np.datetime64("2026-01-02T03:04:05", "us")

    def at(happened: np.ndarray, seconds: np.ndarray) -> pd.Series:
        moments = sent + seconds * np.timedelta64(1_000_000, "us")
        return pd.Series(np.where(happened, moments, np.datetime64("NaT"))).dt.tz_localize("UTC")

    found = rows[["customer_id", "segment", "arm", "variant_id"]].copy()
    return found.assign(
        delivered=delivered,
        opened=opened,
        clicked=clicked,
        converted=converted,
        revenue=revenue,
        source=pd.Categorical.from_codes(np.zeros(len(rows), dtype=np.int8), ["simulated"]),
        delivered_at=at(delivered, wait),
        opened_at=at(opened, opening),
        clicked_at=at(clicked, clicking),
        converted_at=at(converted, converting),
    )

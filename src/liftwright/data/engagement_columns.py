"""The column or event of an outcome file that each column of `ENGAGEMENT` comes from, as SQL.

Taken in this order: what config/engagement.yaml maps, what the preset finds in the file, and a
column with our own name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.config import Conversion, EngagementColumns
from liftwright.data.conversions import check_formats, number_pattern, unclear_number
from liftwright.data.engagement_presets import PRESETS
from liftwright.data.fields import as_conversion
from liftwright.data.rules import did_you_mean
from liftwright.data.sql_fragments import identifier, literal, replace_values
from liftwright.errors import ConfigurationError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from liftwright.config import EngagementFormat
    from liftwright.data.tables import Tables

_KEY = "engagement.yaml"
_TIMES = ("delivered", "opened", "clicked", "converted")
# Each of them shows that the message arrived.
_ARRIVED = ("opened", "clicked", "converted", "unsubscribed", "complained")
_ALLOWED = {"text", "number", "integer"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceText:
    """Where a column's text comes from.

    Attributes:
        sql: of the text, on the columns of the file.
        formats: of a time, as in `Conversion`.
    """

    sql: str
    formats: tuple[str, ...] = ()


def source_texts(
    header: Sequence[str], config: EngagementFormat, label: str
) -> dict[str, SourceText]:
    """The columns of `ENGAGEMENT` that a file has, by name.

    Args:
        header: the names of the file's columns.
        config: engagement.yaml.
        label: the file, for messages.

    Raises:
        ConfigurationError: a conversion is not possible.
        DataError: a mapped column is missing, or a column occurs twice.
    """
    found = _Header(header, label)
    preset = PRESETS[config.preset] if config.preset else None
    texts: dict[str, SourceText] = {}
    mapped = config.columns.model_fields_set
    for column in EngagementColumns.model_fields:
        if column in mapped:
            given = getattr(config.columns, column)
            if given is not None:
                texts[column] = found.mapped(given, column)
            continue
        candidates = preset.columns.get(column, ()) if preset else ()
        names = [as_conversion(name, "text") for name in (*candidates, column)]
        present = next((name for name in names if found.name(name.from_)), None)
        if present is not None:
            texts[column] = found.mapped(present, column)
    if config.events is not None:
        names_of = {name: getattr(config.events, name) for name in (*_ARRIVED, "delivered")}
        names_of["bounced"] = config.events.bounced
        event = found.mapped(config.events.event, "events.event").sql
        time = config.events.time
        timed = None if time is None else found.mapped(time, "events.time")
        texts |= dict(_from_events(names_of, event, timed, texts, mapped))
    elif preset and (event_column := found.first(preset.event)):
        time = found.first(preset.time)
        timed = None if time is None else found.mapped(time, "events.time")
        event = found.mapped(event_column, "events.event").sql
        texts |= dict(_from_events(preset.events, event, timed, texts, mapped))
    for outcome in _TIMES[1:]:
        # An event with a time happened.
        if outcome not in texts and f"{outcome}_at" in texts:
            at = texts[f"{outcome}_at"].sql
            texts[outcome] = SourceText(sql=f"case when trim({at}) <> '' then '1' else '0' end")
    return texts


def _from_events(
    names_of: Mapping[str, Sequence[str]],
    event: str,
    time: SourceText | None,
    texts: Mapping[str, SourceText],
    mapped: frozenset[str] | set[str],
) -> Iterator[tuple[str, SourceText]]:
    """The outcomes of a file with one row per event, each with its time.

    A row shows a delivery or its failure, or an outcome, which implies the delivery. Other events,
    such as the message being queued, do not.
    """

    def one_of(*outcomes: str) -> str:
        names = [name.lower() for one in outcomes for name in names_of.get(one, ())]
        listed = ", ".join(map(literal, names)) or "null"
        return f"coalesce(lower(trim({event})) in ({listed}), false)"

    for outcome in (*_ARRIVED, "bounced"):
        if names_of.get(outcome) and outcome not in mapped:
            sql = f"case when {one_of(outcome)} then '1' else '0' end"
            yield outcome, SourceText(sql=sql)
    if "delivered" not in mapped:
        delivered = f"when {one_of('delivered')} then '1'"
        unsaid = f"when {one_of(*_ARRIVED, 'bounced')} then null"
        yield "delivered", SourceText(sql=f"case {delivered} {unsaid} else '0' end")
    if "revenue" in texts and names_of.get("converted"):
        sql = f"case when {one_of('converted')} then {texts['revenue'].sql} end"
        yield "revenue", SourceText(sql=sql)
    if time is None:
        return
    for outcome in _TIMES:
        if names_of.get(outcome) and f"{outcome}_at" not in mapped:
            sql = f"case when {one_of(outcome)} then {time.sql} end"
            yield f"{outcome}_at", SourceText(sql=sql, formats=time.formats)


class _Header:
    """The columns of a file, found in any case and without surrounding space."""

    def __init__(self, header: Sequence[str], label: str) -> None:
        self._header = header
        self._label = label

    def name(self, written: str) -> str | None:
        """The file's column of that name; None if it has none.

        Raises:
            DataError: it has several.
        """
        same = [name for name in self._header if _folded(name) == _folded(written)]
        if len(same) > 1:
            raise DataError(f"{self._label}: duplicate column {_folded(written)!r}")
        return same[0] if same else None

    def first(self, candidates: Sequence[str]) -> str | None:
        """The first of the candidates that the file has."""
        return next((name for name in candidates if self.name(name)), None)

    def mapped(self, given: str | Conversion, column: str) -> SourceText:
        """The text of a mapped column."""
        conversion = as_conversion(given, "text")
        key = f"{_KEY}: {column if '.' in column else f'columns.{column}'}"
        if conversion.as_ not in _ALLOWED:
            raise ConfigurationError(
                f"{key}: as: {conversion.as_} is not possible, "
                f"allowed: {', '.join(sorted(_ALLOWED))}"
            )
        other = conversion.model_fields_set - {"from_", "as_", "formats", "values"}
        if other:
            raise ConfigurationError(
                f"{key}: {', '.join(sorted(other))} is not possible, "
                "allowed: from, as, formats, values"
            )
        name = self.name(conversion.from_)
        if name is None:
            raise DataError(
                f"{self._label}: no column {conversion.from_!r} (for {key})"
                f"{did_you_mean(conversion.from_, self._header)}; found: {', '.join(self._header)}"
            )
        check_formats(conversion.formats, key)
        text = replace_values(identifier(name), conversion.values or {})
        if conversion.as_ == "integer":
            number = f"number_of({text})"
            whole = f"{number} = floor({number}) and abs({number}) < 9007199254740992e0"
            text = f"case when {whole} then cast(cast({number} as bigint) as varchar) end"
        return SourceText(sql=text, formats=conversion.formats)


def _folded(name: str) -> str:
    return name.strip().casefold()


def find_decimal(tables: Tables, table: str, text: str, where: str) -> str:
    """The decimal separator of a column of amounts, `.` or `,`.

    Args:
        tables: hold `table`.
        table: its name.
        text: SQL of the column's text.
        where: file and column, for messages.

    Raises:
        DataError: the amounts do not show it, or contradict each other.
    """
    plain = f"number_of({text}) is not null or trim({text}) = ''"
    ((count,),) = tables.rows(
        f"select count(*) from {identifier(table)} where not ({plain})"  # noqa: S608 - quoted
    )
    if not count:
        return "."
    point, comma, lone_comma, lone_point = (
        f"regexp_matches({text}, {literal(pattern)})"
        for pattern in (
            number_pattern(".", None),
            number_pattern(",", None),
            unclear_number("."),
            unclear_number(","),
        )
    )
    kinds = (
        f"{point} and not ({comma} or {lone_point})",
        f"{comma} and not ({point} or {lone_comma})",
        lone_comma,
        lone_point,
    )
    counts = ", ".join(f"count(*) filter (where {kind})" for kind in kinds)
    ((*counted,),) = tables.rows(f"select {counts} from {identifier(table)}")  # noqa: S608 - quoted
    points, commas, lone_commas, lone_points = (int(str(count)) for count in counted)
    if points and commas:
        found = f"{points:,} amounts with a decimal point and {commas:,} with a decimal comma"
    elif commas and lone_points:
        found = f"{lone_points:,} amounts such as 1.299, but {commas:,} with a decimal comma"
    elif lone_commas and not (points or commas):
        found = f"{lone_commas:,} amounts such as 1,299, which may be thousands or decimals"
    else:
        return "," if commas else "."
    raise DataError(f"{where}: {found}; set decimal: '.' or ',' in config/engagement.yaml")

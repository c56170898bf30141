"""How a file's columns become ours: the SQL of each value, and the checks on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from liftwright.config import Conversion, FileOptions
from liftwright.data import conversions, file_format
from liftwright.data.rules import did_you_mean
from liftwright.data.sql_fragments import identifier, literal, replace_values
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import Column, ColumnKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from liftwright.data.tables import Tables

_MISSING = "is missing (missing sets a default)"
_NOT_ISO = (
    "is not a date such as 2026-03-01 (set formats, such as %d.%m.%Y or %m/%d/%Y, "
    "or values for words)"
)
_YEAR_DAYS = "365.25e0"
_LARGEST_DOUBLE = "1.7976931348623157e308"
_EXACT_INTEGER = "9007199254740992e0"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """An opened file: its table, its name in messages, and the types of its columns.

    Attributes:
        types: the engine's name of each column's type.
        kinds: each column's kind; columns of unsupported types are left out.
        parsed: whether each read parses text, so that the result is worth storing.
        options: how numbers are written.
    """

    table: str
    label: str
    types: Mapping[str, str]
    kinds: Mapping[str, ColumnKind]
    parsed: bool = True
    options: FileOptions = file_format.AUTOMATIC

    def refuse_missing(self, names: Mapping[str, str]) -> None:
        """Raise if the file lacks a column; `names` maps configuration keys to column names."""
        missing = [
            f"{name!r} (for {key}){did_you_mean(name, self.types)}"
            for key, name in names.items()
            if name not in self.types
        ]
        if missing:
            raise DataError(
                f"{self.label}: no column {', '.join(missing)}; "
                f"map it to a column or null in customers.yaml; found: {', '.join(self.types)}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One of our columns as expressions over a file's columns.

    Attributes:
        value: SQL of the value; null if it is missing or invalid.
        blank: SQL that is true where the file has no value.
        faults: pairs of a condition, on the columns `name` and `blank_flag(name)`, and a reason.
        quotable: the file's column whose text a message may quote; None if it may be personal.
        text: SQL of the file's text, which the faults know as `text_flag(name)`; None if none does.
    """

    name: str
    value: str
    blank: str
    faults: tuple[tuple[str, str], ...]
    quotable: str | None = None
    text: str | None = None


def open_source(
    tables: Tables, table: str, root: Path, path: str, options: FileOptions | None = None
) -> SourceTable:
    """Open the file `path` of the workspace `root` as `table`.

    Raises:
        DataError: the file is missing or cannot be read without guessing.
    """
    file = tables.find(root, path)
    tables.open(table, file, text=False, options=options)
    types = {name: kind for name, kind in tables.types(table).items() if name != "_row"}
    kinds = {name: kind for name, kind in tables.columns(table).items() if name != "_row"}
    parsed = not file_format.parquet_files(file)
    return SourceTable(
        table=table,
        label=path,
        types=types,
        kinds=kinds,
        parsed=parsed,
        options=options or file_format.AUTOMATIC,
    )


def as_conversion(mapped: str | Conversion, default: str) -> Conversion:
    """The conversion of a mapped column; to the type `default` if it does not name one."""
    if isinstance(mapped, Conversion):
        explicit = "as_" in mapped.model_fields_set
        return mapped if explicit else mapped.model_copy(update={"as_": default})
    return Conversion.model_validate({"from": mapped, "as": default})


def id_field(source: SourceTable, name: str, mapped: str | Conversion, key: str) -> Field:
    """An id: text, byte for byte; with `as: integer` the digits of a whole number.

    Raises:
        DataError: the file stores ids as fractions or bytes, which have no unique text.
    """
    conversion = as_conversion(mapped, "text")
    column, kind = identifier(conversion.from_), source.kinds.get(conversion.from_)
    shortened = _shortened(name) if kind is ColumnKind.TEXT else ()
    if conversion.as_ == "integer":
        number = _number(source, conversion)
        whole = f"{number} = floor({number}) and abs({number}) < {_EXACT_INTEGER}"
        blank = _is_blank(source, conversion)
        if kind is ColumnKind.NUMBER:
            blank = f"({blank} or isnan({column}))"
        return Field(
            name=name,
            value=f"case when {whole} then cast(cast({number} as bigint) as varchar) end",
            blank=blank,
            faults=(missing(name), *shortened, unread(name, "is not a whole number")),
            text=f"cast({column} as varchar)",
        )
    if conversion.as_ != "text":
        raise ConfigurationError(
            f"{key}: as: {conversion.as_} cannot be an id, allowed: text or integer"
        )
    if kind not in (ColumnKind.TEXT, ColumnKind.INTEGER):
        raise DataError(
            f"{source.label}: column {conversion.from_!r} stores ids as "
            f"{source.types[conversion.from_]}, not as text; for whole numbers write "
            f"{{from: {conversion.from_}, as: integer}} at {key}"
        )
    return Field(
        name=name,
        value=_text(source, conversion),
        blank=_is_blank_id(column) if kind is ColumnKind.TEXT else f"({column} is null)",
        faults=(missing(name), *shortened, *no_nul(name)),
        text=f"cast({column} as varchar)",
    )


def _shortened(name: str) -> tuple[tuple[str, str], ...]:
    """The fault of an id whose digits a spreadsheet has dropped."""
    text = text_flag(name)
    found = f"regexp_matches({text}, {literal(conversions.SCIENTIFIC)})"
    reason = "is in scientific notation: Excel has dropped digits; export the ids again, as text"
    # Nearly all ids skip the slow pattern.
    return ((f"(strpos({text}, '+') > 0 and {found})", reason),)


def column_field(
    source: SourceTable,
    column: Column,
    mapped: str | Conversion,
    *,
    as_of: date | None,
    default: str | float | None = None,
) -> Field:
    """A column of `CUSTOMERS` other than the id.

    Args:
        source: the file.
        column: our column.
        mapped: how it is read.
        as_of: the day to which dates count.
        default: the value of rows in which the file has none.

    Raises:
        ConfigurationError: the conversion does not give the column's type, or needs `as_of`.
    """
    field = _column_field(source, column, mapped, as_of)
    if default is None:
        return field
    value = literal(default if isinstance(default, str) else float(default))
    return replace(
        field,
        value=f"case when {field.blank} then {value} else {field.value} end",
        faults=tuple(fault for fault in field.faults if fault[0] != blank_flag(column.name)),
    )


def _column_field(
    source: SourceTable, column: Column, mapped: str | Conversion, as_of: date | None
) -> Field:
    key = f"customers.yaml: columns.{column.name}"
    conversion = as_conversion(mapped, "text" if column.kind is ColumnKind.TEXT else "number")
    if column.kind is ColumnKind.TEXT:
        if conversion.as_ not in ("text", "integer"):
            raise ConfigurationError(f"{key}: as: {conversion.as_} cannot be used for text")
        if conversion.as_ == "integer":
            return _optional(id_field(source, column.name, conversion, key))
        text, blank = _text(source, conversion), _is_blank(source, conversion)
        return Field(
            name=column.name,
            value=f"case when not {blank} then {text} end",
            blank=blank,
            faults=no_nul(column.name),
        )
    if conversion.as_ == "text":
        raise ConfigurationError(f"{key}: as: text cannot be used for a number")
    if conversion.as_ in ("years", "days_since"):
        return _elapsed_field(source, column, conversion, key, as_of)
    return _number_field(source, column, conversion, key, as_of)


def _optional(field: Field) -> Field:
    return replace(field, faults=field.faults[1:])


def _number_field(
    source: SourceTable, column: Column, conversion: Conversion, key: str, as_of: date | None
) -> Field:
    is_share, value = column.high == 1, _number(source, conversion)
    if is_share and source.kinds.get(conversion.from_) is ColumnKind.TEXT:
        percent = conversion.as_ == "percent"
        value = conversions.share(_text(source, conversion), source.options, percent=percent)
    elif conversion.as_ == "percent":
        value = f"({value} / 100e0)"
    blank = _is_blank(source, conversion)
    if conversion.divide_by is not None:
        divisor = number_of(source, conversion.divide_by)
        # Without orders, an average is 0; without deliveries, a rate is unknown.
        none = "cast(null as double)" if column.nullable else "0e0"
        value = f"case when {divisor} = 0 then {none} else {value} / nullif({divisor}, 0e0) end"
        blank = f"({blank} or {is_blank(source, conversion.divide_by)})"
        if column.nullable:
            blank = f"({blank} or coalesce({divisor}, 1e0) = 0)"
    if conversion.as_ == "per_year":
        since = str(conversion.since)
        days = _days_until(as_of, day_of(source, since, conversion.formats, key), key, "per_year")
        value = f"({value} * {_YEAR_DAYS} / greatest({days}, {_YEAR_DAYS}))"
        blank = f"({blank} or {is_blank(source, since)})"
    faults = [] if column.nullable else [(blank_flag(column.name), _MISSING)]
    faults.extend(_unclear_numbers(source, column.name))
    faults.append(unread(column.name, "is not a number"))
    faults.append(not_finite(column.name))
    if conversion.as_ == "integer":
        at = identifier(column.name)
        faults.append((f"{at} <> floor({at})", "is not a whole number"))
    faults.extend(_out_of_range(column, percent=is_share and conversion.as_ != "percent"))
    return Field(
        name=column.name,
        value=value,
        blank=blank,
        faults=tuple(faults),
        quotable=conversion.from_,
        text=f"cast({identifier(conversion.from_)} as varchar)",
    )


def _unclear_numbers(source: SourceTable, name: str) -> list[tuple[str, str]]:
    """The faults of numbers that other separators would make readable, and the key to set."""
    ours = source.options.decimal
    other = "," if ours == "." else "."
    word = "comma" if other == "," else "point"
    unread_text = f"{identifier(name)} is null and not {blank_flag(name)} and regexp_matches"
    faults = []
    if source.options.thousands is None:
        unclear = conversions.unclear_number(ours)
        reason = (
            f"is not a number for certain: its {word} may separate thousands "
            f'(set thousands: "{other}") or decimals (set decimal: "{other}")'
        )
        faults.append((f"({unread_text}({text_flag(name)}, {literal(unclear)}))", reason))
    pattern = conversions.number_pattern(other, None)
    reason = f'is not a number: it has a decimal {word} (set decimal: "{other}")'
    return [*faults, (f"({unread_text}({text_flag(name)}, {literal(pattern)}))", reason)]


def _days_until(as_of: date | None, day: str, key: str, conversion: str) -> str:
    if as_of is None:
        raise ConfigurationError(
            f"{key}: as: {conversion} needs a date to count to; "
            "without orders, set as_of in customers.yaml, or --as-of YYYY-MM-DD"
        )
    today = f"cast({literal(as_of.isoformat())} as date)"
    return f"cast(date_diff('day', {day}, {today}) as double)"


def _elapsed_field(
    source: SourceTable, column: Column, conversion: Conversion, key: str, as_of: date | None
) -> Field:
    day = _day(source, conversion, key)
    value = _days_until(as_of, day, key, conversion.as_)
    if conversion.as_ == "years" and as_of is not None:
        born = f"year({day}) * 10000 + month({day}) * 100 + day({day})"
        now = as_of.year * 10000 + as_of.month * 100 + as_of.day
        value = f"cast(floor(({now} - ({born})) / 10000e0) as double)"
    faults = [] if column.nullable else [(blank_flag(column.name), _MISSING)]
    return Field(
        name=column.name,
        value=value,
        blank=_is_blank(source, conversion),
        faults=(*faults, *unread_date(column.name, conversion.formats), *_out_of_range(column)),
        text=f"cast({identifier(conversion.from_)} as varchar)",
    )


def unread_date(name: str, formats: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The faults of a date that cannot be parsed, with the format to set; need `Field.text`."""
    unread_text = f"{identifier(name)} is null and not {blank_flag(name)} and regexp_matches"
    numbered = [
        (
            f"({unread_text}({text_flag(name)}, '{pattern}'))",
            f"is not a date: set formats to {kind}",
        )
        for kind, pattern in conversions.NUMBERED_DATES.items()
        if kind not in formats
    ]
    listed = ", ".join(formats)
    reason = f"is not a date in any of the formats ({listed})" if formats else _NOT_ISO
    return (*numbered, unread(name, reason))


def day_of(source: SourceTable, column: str, formats: Sequence[str], key: str) -> str:
    """SQL of the date in a column; null if it is not a date.

    Raises:
        ConfigurationError: a format is not valid.
        DataError: the column contains neither text nor times.
    """
    mapped = {"from": column, "as": "days_since", "formats": tuple(formats)}
    return _day(source, Conversion.model_validate(mapped), key)


def _day(source: SourceTable, conversion: Conversion, key: str) -> str:
    column, formats = conversion.from_, conversion.formats
    kind = source.kinds.get(column)
    conversions.check_formats(formats, key)
    if kind is ColumnKind.TIME and not conversion.values:
        return f"cast({identifier(column)} as date)"
    allowed = [ColumnKind.TEXT, ColumnKind.TIME]
    allowed += [ColumnKind.INTEGER, ColumnKind.NUMBER] if formats else []
    if kind not in allowed:
        raise DataError(
            f"{source.label}: column {column!r} holds {source.types[column]}; "
            f"a date, or a date as text, is expected ({key})"
        )
    return conversions.date(_text(source, conversion), formats, source.options)


def number_of(source: SourceTable, column: str) -> str:
    """SQL of the number in a column; null if it is not a number."""
    return _number(source, as_conversion(column, "number"))


def is_blank(source: SourceTable, column: str) -> str:
    """SQL that is true where a column has no value."""
    return _is_blank(source, as_conversion(column, "text"))


def _number(source: SourceTable, conversion: Conversion) -> str:
    kind, quoted = source.kinds.get(conversion.from_), identifier(conversion.from_)
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) and not conversion.values:
        return f"cast({quoted} as double)"
    if kind not in (ColumnKind.TEXT, ColumnKind.NUMBER, ColumnKind.INTEGER):
        raise DataError(
            f"{source.label}: column {conversion.from_!r} holds "
            f"{source.types[conversion.from_]}; numbers are expected"
        )
    return conversions.number(_text(source, conversion), source.options)


def _text(source: SourceTable, conversion: Conversion) -> str:
    quoted = identifier(conversion.from_)
    if source.kinds.get(conversion.from_) is not ColumnKind.TEXT:
        quoted = f"cast({quoted} as varchar)"
    return replace_values(quoted, conversion.values or {})


def _is_blank(source: SourceTable, conversion: Conversion) -> str:
    text = _text(source, conversion)
    if source.kinds.get(conversion.from_) is ColumnKind.TEXT or conversion.values:
        return f"({text} is null or trim({text}) = '')"
    return f"({text} is null)"


def _is_blank_id(column: str) -> str:
    # Most ids start with a character above white space and skip the slow pattern.
    return rf"({column} is null or ({column} < '!' and regexp_matches({column}, '^\s*$')))"


def missing(name: str) -> tuple[str, str]:
    """The fault of a required value that is missing."""
    return blank_flag(name), "is missing"


def unread(name: str, reason: str) -> tuple[str, str]:
    """The fault of a value that cannot be parsed."""
    return (f"{identifier(name)} is null and not {blank_flag(name)}", reason)


def not_finite(name: str) -> tuple[str, str]:
    """The fault of a number that is NaN or infinite."""
    # NaN sorts above every number, so this condition also finds NaN.
    return (f"abs({identifier(name)}) > {_LARGEST_DOUBLE}", "is not finite")


def _out_of_range(column: Column, *, percent: bool = False) -> tuple[tuple[str, str], ...]:
    at, low, high = identifier(column.name), column.low, column.high
    if low is not None and high is not None:
        condition = f"not ({at} between {literal(low)} and {literal(high)})"
        mend = "; for 25 as 25 %, as: percent" if percent else ""
        return ((condition, f"is out of range ({low:g} to {high:g} is allowed{mend})"),)
    if low is not None:
        return ((f"{at} < {literal(low)}", f"is out of range (at least {low:g} is allowed)"),)
    return ()


def no_nul(name: str) -> tuple[tuple[str, str], ...]:
    """The fault of a text with a NUL character, at which files and engines truncate text."""
    return ((f"strpos({identifier(name)}, chr(0)) > 0", "holds a NUL character"),)


def blank_flag(name: str) -> str:
    """The column that holds `Field.blank` while the faults are evaluated."""
    return identifier(f"_blank_{name}")


def text_flag(name: str) -> str:
    """The column that holds `Field.text` while the faults are evaluated."""
    return identifier(f"_text_{name}")

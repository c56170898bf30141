"""From a file's columns to ours: what each becomes in SQL, and what makes its value a fault."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from liftwright.config import Conversion
from liftwright.data import file_format
from liftwright.data.rules import identifier, literal, nearest
from liftwright.errors import ConfigurationError, DataError
from liftwright.model import Column, ColumnKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from liftwright.data.tables import Tables

_DIRECTIVES = frozenset("YymdHMSIpfbBaAj%")
_LARGEST_DOUBLE = "1.7976931348623157e308"
_EXACT_INTEGER = "9007199254740992e0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """An opened file: its table, what messages call it, and what its columns hold.

    Attributes:
        types: the engine's name of each column's type.
        kinds: what each column holds; columns of other types are left out.
        parsed: whether every reading parses text, so that one is better kept.
    """

    table: str
    label: str
    types: Mapping[str, str]
    kinds: Mapping[str, ColumnKind]
    parsed: bool = True

    def refuse_missing(self, names: Mapping[str, str]) -> None:
        """Raise where the file lacks a column; `names` are the keys that ask, and for which."""
        missing = [
            f"{name!r} (for {key}){nearest(name, self.types)}"
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
    """One of our columns as expressions over a file's.

    Attributes:
        value: SQL of the value, null where there is none or it is no such value.
        gap: SQL that is true where the file holds nothing.
        faults: conditions on the value and the gap by name (`Field.at`), each with its reason.
        shown: the file's column whose text a message may quote; None where it may be personal.
    """

    name: str
    value: str
    gap: str
    faults: tuple[tuple[str, str], ...]
    shown: str | None = None


def open_origin(tables: Tables, table: str, root: Path, path: str) -> Origin:
    """Open the file `path` of the workspace `root` as `table`.

    Raises:
        DataError: the file is missing or cannot be read without guessing.
    """
    file = tables.find(root, path)
    tables.open(table, file, text=False)
    types = {name: kind for name, kind in tables.types(table).items() if name != "_row"}
    kinds = {name: kind for name, kind in tables.columns(table).items() if name != "_row"}
    parsed = not file_format.parquet_files(file)
    return Origin(table=table, label=path, types=types, kinds=kinds, parsed=parsed)


def as_conversion(mapped: str | Conversion, default: str) -> Conversion:
    """The conversion of a mapped column; to `default` where none is asked for."""
    if isinstance(mapped, Conversion):
        asked = "as_" in mapped.model_fields_set
        return mapped if asked else mapped.model_copy(update={"as_": default})
    return Conversion.model_validate({"from": mapped, "as": default})


def id_field(origin: Origin, name: str, mapped: str | Conversion, key: str) -> Field:
    """An id: text in its exact bytes; digits where whole numbers are asked for.

    Raises:
        DataError: the file stores ids as fractions or bytes, which no text spells for certain.
    """
    conversion = as_conversion(mapped, "text")
    column, kind = identifier(conversion.from_), origin.kinds.get(conversion.from_)
    if conversion.as_ == "integer":
        number = _number(origin, conversion)
        whole = f"{number} = floor({number}) and abs({number}) < {_EXACT_INTEGER}"
        gap = _blank(origin, conversion)
        if kind is ColumnKind.NUMBER:
            gap = f"({gap} or isnan({column}))"
        return Field(
            name=name,
            value=f"case when {whole} then cast(cast({number} as bigint) as varchar) end",
            gap=gap,
            faults=(missing(name), unread(name, "is not a whole number")),
        )
    if conversion.as_ != "text":
        raise ConfigurationError(
            f"{key}: as: {conversion.as_} cannot be an id, allowed: text or integer"
        )
    if kind not in (ColumnKind.TEXT, ColumnKind.INTEGER):
        raise DataError(
            f"{origin.label}: column {conversion.from_!r} stores ids as "
            f"{origin.types[conversion.from_]}, not as text; for whole numbers write "
            f"{{from: {conversion.from_}, as: integer}} at {key}"
        )
    return Field(
        name=name,
        value=_text(origin, conversion),
        gap=_blank_id(column) if kind is ColumnKind.TEXT else f"({column} is null)",
        faults=(missing(name), *no_nul(name)),
    )


def column_field(
    origin: Origin, column: Column, mapped: str | Conversion, *, as_of: date | None
) -> Field:
    """One of the columns of `CUSTOMERS` other than the id.

    Raises:
        ConfigurationError: the conversion does not make such a column, or needs a day.
    """
    key = f"customers.yaml: columns.{column.name}"
    conversion = as_conversion(mapped, "text" if column.kind is ColumnKind.TEXT else "number")
    if column.kind is ColumnKind.TEXT:
        if conversion.as_ not in ("text", "integer"):
            raise ConfigurationError(f"{key}: as: {conversion.as_} cannot be used for text")
        if conversion.as_ == "integer":
            return _optional(id_field(origin, column.name, conversion, key))
        text, gap = _text(origin, conversion), _blank(origin, conversion)
        return Field(
            name=column.name,
            value=f"case when not {gap} then {text} end",
            gap=gap,
            faults=no_nul(column.name),
        )
    if conversion.as_ == "text":
        raise ConfigurationError(f"{key}: as: text cannot be used for a number")
    if conversion.as_ in ("years", "days_since"):
        return _elapsed_field(origin, column, conversion, key, as_of)
    return _number_field(origin, column, conversion)


def _optional(field: Field) -> Field:
    return Field(name=field.name, value=field.value, gap=field.gap, faults=field.faults[1:])


def _number_field(origin: Origin, column: Column, conversion: Conversion) -> Field:
    value = _number(origin, conversion)
    faults = [] if column.nullable else [missing(column.name)]
    faults.append(unread(column.name, "is not a number"))
    faults.append(not_finite(column.name))
    if conversion.as_ == "integer":
        at = identifier(column.name)
        faults.append((f"{at} <> floor({at})", "is not a whole number"))
    faults.extend(_out_of_range(column))
    return Field(
        name=column.name,
        value=f"({value} / 100e0)" if conversion.as_ == "percent" else value,
        gap=_blank(origin, conversion),
        faults=tuple(faults),
        shown=conversion.from_,
    )


def _elapsed_field(
    origin: Origin, column: Column, conversion: Conversion, key: str, as_of: date | None
) -> Field:
    if as_of is None:
        raise ConfigurationError(
            f"{key}: as: {conversion.as_} needs a date to count to; "
            "without orders, set as_of in customers.yaml, or --as-of YYYY-MM-DD"
        )
    day = day_of(origin, conversion.from_, conversion.formats, key)
    today = f"cast({literal(as_of.isoformat())} as date)"
    if conversion.as_ == "days_since":
        value = f"cast(date_diff('day', {day}, {today}) as double)"
    else:
        born = f"year({day}) * 10000 + month({day}) * 100 + day({day})"
        now = as_of.year * 10000 + as_of.month * 100 + as_of.day
        value = f"cast(floor(({now} - ({born})) / 10000e0) as double)"
    faults = [] if column.nullable else [missing(column.name)]
    return Field(
        name=column.name,
        value=value,
        gap=_blank(origin, conversion),
        faults=(*faults, unread(column.name, "is not a date"), *_out_of_range(column)),
    )


def day_of(origin: Origin, column: str, formats: Sequence[str], key: str) -> str:
    """SQL of the day that a column tells; null where it tells none.

    Raises:
        ConfigurationError: a format holds what cannot be read.
        DataError: the column holds neither text nor times.
    """
    kind, quoted = origin.kinds.get(column), identifier(column)
    if kind is ColumnKind.TIME:
        return f"cast({quoted} as date)"
    if kind is ColumnKind.INTEGER and formats:
        quoted = f"cast({quoted} as varchar)"
    elif kind is not ColumnKind.TEXT:
        raise DataError(
            f"{origin.label}: column {column!r} holds {origin.types[column]}; "
            f"a date, or a date as text, is expected ({key})"
        )
    for form in formats:
        used = re.findall(r"%-?(.)?", form)
        if not used or set(used) - _DIRECTIVES or not {"Y", "y"} & set(used):
            raise ConfigurationError(
                f"{key}: {form!r} is not a date format; "
                "allowed: a format such as %m/%d/%Y or %Y-%m-%d %H:%M"
            )
    times = [f"time_as({quoted}, {literal(form)})" for form in formats] or [f"time_of({quoted})"]
    return f"cast(coalesce({', '.join([*times, 'null'])}) as date)"


def number_of(origin: Origin, column: str) -> str:
    """SQL of the number that a column tells; null where it tells none."""
    return _number(origin, as_conversion(column, "number"))


def blank(origin: Origin, column: str) -> str:
    """SQL that is true where a column holds nothing."""
    return _blank(origin, as_conversion(column, "text"))


def _number(origin: Origin, conversion: Conversion) -> str:
    kind, quoted = origin.kinds.get(conversion.from_), identifier(conversion.from_)
    if kind in (ColumnKind.NUMBER, ColumnKind.INTEGER) and not conversion.values:
        return f"cast({quoted} as double)"
    if kind not in (ColumnKind.TEXT, ColumnKind.NUMBER, ColumnKind.INTEGER):
        raise DataError(
            f"{origin.label}: column {conversion.from_!r} holds "
            f"{origin.types[conversion.from_]}; numbers are expected"
        )
    text = _text(origin, conversion)
    if conversion.as_ == "percent":
        text = rf"regexp_replace({text}, '\s*%\s*$', '')"
    return f"number_of({text})"


def _text(origin: Origin, conversion: Conversion) -> str:
    quoted = identifier(conversion.from_)
    if origin.kinds.get(conversion.from_) is not ColumnKind.TEXT:
        quoted = f"cast({quoted} as varchar)"
    if not conversion.values:
        return quoted
    cases = " ".join(
        f"when {literal(theirs)} then {literal(ours)}" for theirs, ours in conversion.values.items()
    )
    return f"case {quoted} {cases} else {quoted} end"


def _blank(origin: Origin, conversion: Conversion) -> str:
    text = _text(origin, conversion)
    if origin.kinds.get(conversion.from_) is ColumnKind.TEXT or conversion.values:
        return f"({text} is null or trim({text}) = '')"
    return f"({text} is null)"


def _blank_id(column: str) -> str:
    # Most ids begin above the white space, which spares them the pattern.
    return rf"({column} is null or ({column} < '!' and regexp_matches({column}, '^\s*$')))"


def missing(name: str) -> tuple[str, str]:
    """The fault of a value that must be there and is not."""
    return gap_at(name), "is missing"


def unread(name: str, reason: str) -> tuple[str, str]:
    """The fault of a value that is there and cannot be read."""
    return (f"{identifier(name)} is null and not {gap_at(name)}", reason)


def not_finite(name: str) -> tuple[str, str]:
    """The fault of a number that is NaN or infinite."""
    # NaN sorts above every number, so this finds it as well.
    return (f"abs({identifier(name)}) > {_LARGEST_DOUBLE}", "is not finite")


def _out_of_range(column: Column) -> tuple[tuple[str, str], ...]:
    at, low, high = identifier(column.name), column.low, column.high
    if low is not None and high is not None:
        condition = f"not ({at} between {literal(low)} and {literal(high)})"
        return ((condition, f"is out of range ({low:g} to {high:g} is allowed)"),)
    if low is not None:
        return ((f"{at} < {literal(low)}", f"is out of range (at least {low:g} is allowed)"),)
    return ()


def no_nul(name: str) -> tuple[tuple[str, str], ...]:
    """The fault of a text with a character that files and engines cut texts at."""
    return ((f"strpos({identifier(name)}, chr(0)) > 0", "holds a NUL character"),)


def gap_at(name: str) -> str:
    """The name under which a field's gap stands while its faults are looked for."""
    return identifier(f"_gap_{name}")

"""Looks at a file of customers and proposes the customers.yaml that reads it."""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from liftwright.campaign.column_names import columns_called
from liftwright.config import Customers, FileOptions
from liftwright.data import (
    REJECTED,
    FileResolver,
    Tables,
    conversions,
    identifier,
    load_customers,
)
from liftwright.data.fields import open_source
from liftwright.data.file_format import file_format
from liftwright.errors import DataError, InputError
from liftwright.model import CUSTOMERS, ColumnKind, is_url, to_json
from liftwright.model.run_files import write_atomically
from liftwright.wiring import make_engine, make_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

    from liftwright.data.fields import SourceTable
    from liftwright.model import Json

_TABLE = "imported"
# Columns are recognised by this many rows; all rows are checked afterwards.
_SAMPLE_ROWS = 5_000
_SHAPED_ROWS = 500
_MOSTLY = 0.8
# A separator of thousands that cannot be a decimal one.
_GROUPED = {",": "[,][0-9]{3}.*[.][0-9]|[,][0-9]{3},", ".": "[.][0-9]{3}.*,[0-9]|[.][0-9]{3}[.]"}
_MOST_WORDS = 3
_DAY_FORMATS = (
    *("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d"),
    *("%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%Y%m%d", "%d %b %Y", "%d. %b %Y", "%b %d, %Y"),
    *("%d-%b-%Y", "%d-%b-%y", "%d de %b de %Y", "%A, %B %d, %Y"),
)
_TIME_FORMATS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %H:%M", ", %I:%M %p")
_FIRST_YEAR, _LAST_YEAR = 1920, 2100
_FEATURES_OF_RULES = {
    "purchase_frequency": "frequency_score",
    "avg_order_value": "monetary_score",
    "last_engagement_days": "recency_score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedColumn:
    """A column of the file: the column of ours that it becomes, and how; None if it is extra."""

    theirs: str
    ours: str | None
    conversion: str | None
    example: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedRows:
    """How many rows would be set aside for one reason."""

    reason: str
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersImport:
    """The answer of `liftwright import`.

    Attributes:
        encoding, delimiter: of the text; None for Parquet and spreadsheets.
        rows: kept + the rows in `rejected`.
        customers_yaml: the proposed file.
        written: where it was written; None without `--write`.
    """

    encoding: str | None
    delimiter: str | None
    rows: int
    columns: tuple[ImportedColumn, ...]
    kept: int
    rejected: tuple[RejectedRows, ...]
    warnings: tuple[str, ...]
    customers_yaml: str
    written: str | None = None

    def to_json(self) -> Json:
        """The object that `liftwright import --json` prints."""
        return to_json(self)


def file_options(encoding: str | None, sheet: str | None) -> FileOptions:
    """The options of a file.

    Raises:
        InputError: the encoding is unknown.
    """
    try:
        return FileOptions(encoding=encoding, sheet=sheet)
    except ValueError:
        raise InputError(
            f"--encoding: found {encoding!r}, allowed: such as cp1252, mac_roman or shift_jis"
        ) from None


def import_customers(
    root: Path, file: str, options: FileOptions, *, write: bool = False
) -> CustomersImport:
    """Propose how to read `file`, and count the rows that would be kept and set aside.

    Args:
        root: the workspace; needed to write.
        file: a path or URL.
        options: what the file does not show, such as an encoding or a sheet.
        write: whether to replace config/customers.yaml; the old one is kept beside it.

    Raises:
        DataError: the file cannot be read, or no column holds ids.
        InputError: there is no workspace to write to.
    """
    target = root / "config" / "customers.yaml"
    if write and not target.parent.is_dir():
        raise InputError(f"{target.parent}: no such folder; create it with liftwright init")
    with tempfile.TemporaryDirectory(prefix="liftwright-") as temporary:
        resolver = FileResolver(make_objects, Path(temporary))
        tables = Tables(make_engine(Path(temporary)), files=resolver)
        with contextlib.closing(tables):
            found = _look(tables, root, file, options)
    if write:
        _write(target, found.customers_yaml)
        found = replace(found, written=str(target))
    return found


def _write(target: Path, text: str) -> None:
    if target.exists():
        write_atomically(target.with_name("customers.yaml.old"), target.read_bytes())
    write_atomically(target, text.encode())


def _look(tables: Tables, root: Path, file: str, options: FileOptions) -> CustomersImport:
    source = open_source(tables, _TABLE, Path(), file, options)
    form = file_format(tables.find(Path(), file), options) if source.parsed else None
    given = options.model_dump(exclude_none=True, exclude_defaults=True)
    if form is not None and form.encoding not in (None, "utf-8"):
        given["encoding"] = form.encoding
    if form is not None and form.delimiter not in (None, ","):
        given["delimiter"] = form.delimiter
    proposal = _Proposal(tables, source, options)
    content = {"path": _path(root, file), **given, **proposal.settings()}
    checked = Customers.model_validate({**content, "path": file, "on_bad_rows": "reject"})
    warnings = [*proposal.warnings]
    try:
        report = load_customers(tables, checked, Path())
    except DataError as error:
        # All rows are bad.
        if not tables.has(REJECTED.name):
            raise
        kept, rejected = 0, _rejected(tables)
        warnings.append(str(error))
    else:
        kept, rejected = report.rows_kept, dict(report.rejected)
        warnings = [*report.warnings, *warnings]
    if rejected:
        content["on_bad_rows"] = "reject"
    return CustomersImport(
        encoding=form.encoding if form else None,
        delimiter=form.delimiter if form else None,
        rows=kept + sum(rejected.values()),
        columns=proposal.columns(),
        kept=kept,
        rejected=tuple(RejectedRows(reason=reason, rows=n) for reason, n in rejected.items()),
        warnings=tuple(dict.fromkeys(warnings)),
        customers_yaml=_yaml(content),
    )


def _rejected(tables: Tables) -> dict[str, int]:
    statement = (
        'select "column", reason, count(*) from rejected group by 1, 2 order by 3 desc, 1, 2'
    )
    return {f"{column} {reason}": int(str(n)) for column, reason, n in tables.rows(statement)}


def _path(root: Path, file: str) -> str:
    """The file as customers.yaml names it: relative to the workspace if it is inside."""
    if is_url(file):
        return file
    path = Path(file).resolve()
    with contextlib.suppress(ValueError):
        return path.relative_to(root.resolve()).as_posix()
    return str(path)


def _yaml(content: dict[str, object]) -> str:
    import yaml

    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
    return (
        "# Written by `liftwright import`. docs/data.md explains every key; columns that are null\n"
        f"# were not found in the file.\n{text}"
    )


@dataclass(slots=True)
class _Profile:
    """What the first rows of a column hold.

    Attributes:
        numbers, comma_numbers: values that are numbers with a decimal point, or a comma.
        grouped, comma_grouped: those of them that show the separator of thousands.
    """

    filled: int
    distinct: int
    emails: int
    percents: int
    shortened: int
    numbers: int
    comma_numbers: int
    grouped: int
    comma_grouped: int
    example: str | None


@dataclass
class _Proposal:
    """The columns that were recognised, one after the other."""

    tables: Tables
    source: SourceTable
    options: FileOptions
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._names = [name for name in self.source.types if name in self.source.kinds]
        self._profiles = {name: self._profile(name) for name in self._names}
        self._rows = self.tables.count(_TABLE)
        self._sampled = min(self._rows, _SAMPLE_ROWS)
        self._choose_separators()
        self._mapped: dict[str, object] = {}
        self._missing: dict[str, float] = {}
        self._day: str | None = None
        self._map_id()
        self._map_texts()
        self._map_orders()
        self._map_engagement()

    def settings(self) -> dict[str, object]:
        """The keys of customers.yaml apart from the file's own."""
        columns = {name: self._mapped.get(name) for name in CUSTOMERS.names}
        found: dict[str, object] = {}
        if self.options.decimal != ".":
            found["decimal"] = self.options.decimal
        if self.options.thousands is not None:
            found["thousands"] = self.options.thousands
        found["columns"] = columns
        if self._missing:
            found["missing"] = self._missing
        for name in CUSTOMERS.names:
            if columns[name] is None:
                rule = _FEATURES_OF_RULES.get(name)
                mend = f"; rules with {rule} need it, or orders" if rule else ""
                self.warnings.append(f"no column for {name}{mend}")
        if self._needs_day:
            found["as_of"] = self._as_of()
        return found

    def columns(self) -> tuple[ImportedColumn, ...]:
        """All columns of the file."""
        ours: dict[str, list[tuple[str, str]]] = {}
        for name, mapped in self._mapped.items():
            conversion = mapped if isinstance(mapped, dict) else {}
            text = str(conversion.get("as", _default_of(name)))
            text = " ".join([text, *map(str, conversion.get("formats", ()))])
            for key in ("divide_by", "since"):
                if key in conversion:
                    text += f", {key} {conversion[key]}"
            ours.setdefault(_column_of(mapped), []).append((name, text))
        rows: list[ImportedColumn] = []
        for theirs in self.source.types:
            profile = self._profiles.get(theirs)
            example = profile.example if profile else None
            rows.extend(
                ImportedColumn(theirs=theirs, ours=name, conversion=text, example=example)
                for name, text in ours.get(theirs, [(None, None)])
            )
        return tuple(rows)

    @property
    def _needs_day(self) -> bool:
        return any(
            isinstance(mapped, dict) and mapped.get("as") in ("years", "days_since", "per_year")
            for mapped in self._mapped.values()
        )

    def _as_of(self) -> date:
        """The last day of engagement in the file; without one, today."""
        today = datetime.now(UTC).date()
        if self._day is None:
            return today
        ((found,),) = self.tables.rows(f"select cast(max({self._day}) as varchar) from {_TABLE}")  # noqa: S608 - quoted
        return min(today, date.fromisoformat(str(found))) if found else today

    def _profile(self, name: str) -> _Profile:
        text = self._text(name)
        point = conversions.number(text, FileOptions())
        comma = conversions.number(text, FileOptions(decimal=","))
        counts = {
            "filled": "true",
            "emails": f"regexp_matches({text}, '^[^@ ]+@[^@ ]+[.][^@ ]+$')",
            "percents": f"regexp_matches({text}, '[0-9] ?%')",
            "shortened": f"regexp_matches({text}, '{conversions.SCIENTIFIC}')",
            "numbers": f"{point} is not null",
            "comma_numbers": f"{comma} is not null",
            "grouped": f"{point} is not null and regexp_matches({text}, '{_GROUPED[',']}')",
            "comma_grouped": f"{comma} is not null and regexp_matches({text}, '{_GROUPED['.']}')",
        }
        filled = f"{text} is not null and trim({text}) <> ''"
        parts = [f"count(*) filter (where {filled} and {test})" for test in counts.values()]
        statement = (
            f"select {', '.join(parts)}, count(distinct {text}), "  # noqa: S608 - quoted
            f"min(case when {filled} then {text} end) "
            f"from {_TABLE} where _row <= {_SAMPLE_ROWS}"
        )
        ((*found, distinct, example),) = self.tables.rows(statement)
        numbers = dict(zip(counts, (int(str(n)) for n in found), strict=True))
        return _Profile(
            **numbers,
            distinct=int(str(distinct)),
            example=None if example is None else str(example),
        )

    def _text(self, name: str) -> str:
        column = identifier(name)
        is_text = self.source.kinds[name] is ColumnKind.TEXT
        return column if is_text else f"cast({column} as varchar)"

    def _choose_separators(self) -> None:
        """Take the decimal separator that reads more, and thousands where values show them."""
        texts = [p for n, p in self._profiles.items() if self.source.kinds[n] is ColumnKind.TEXT]
        point, comma = (
            sum(getattr(profile, name) for profile in texts)
            for name in ("numbers", "comma_numbers")
        )
        is_comma = comma > point and self.options.decimal == "."
        decimal = "," if is_comma else self.options.decimal
        grouped = any(p.comma_grouped if decimal == "," else p.grouped for p in texts)
        thousands = self.options.thousands
        if grouped and thousands is None:
            thousands = "." if decimal == "," else ","
        update = {"decimal": decimal, "thousands": thousands}
        self.options = FileOptions.model_validate({**self.options.model_dump(), **update})

    def _called(self, meaning: str) -> list[str]:
        used = set(map(_column_of, self._mapped.values()))
        return [n for n in columns_called(meaning, self._names) if n not in used]

    def _is_number(self, name: str) -> bool:
        if self.source.kinds[name] in (ColumnKind.NUMBER, ColumnKind.INTEGER):
            return True
        value = conversions.share(self._text(name), self.options, percent=True)
        ((read,),) = self.tables.rows(
            f"select count({value}) from {_TABLE} where _row <= {_SAMPLE_ROWS}"  # noqa: S608 - quoted
        )
        return int(str(read)) > 0 and int(str(read)) >= _MOSTLY * self._profiles[name].filled

    def _map_id(self) -> None:
        """The first column of ids or addresses that names every row once."""
        named = [*self._called("id"), *self._called("email"), *self._called("tool_id")]
        addresses = [n for n, p in self._profiles.items() if p.filled and p.emails == p.filled]
        candidates = list(dict.fromkeys([*named, *addresses]))
        unique = [
            name
            for name in candidates
            if self._profiles[name].filled == self._profiles[name].distinct == self._sampled
            and not self._profiles[name].shortened
        ]
        chosen = next(iter(unique or candidates), None)
        if chosen is None:
            raise DataError(
                f"{self.source.label}: no column of ids or e-mail addresses; found: "
                f"{', '.join(self._names)}"
            )
        is_float = self.source.kinds[chosen] is ColumnKind.NUMBER
        self._mapped["customer_id"] = {"from": chosen, "as": "integer"} if is_float else chosen

    def _map_texts(self) -> None:
        for name in self._called("age"):
            if self._is_number(name):
                self._mapped["age"] = name
                break
        else:
            self._map_date("age", "birth", "years")
        for ours in ("location", "tier"):
            filled = [name for name in self._called(ours) if self._profiles[name].filled]
            if filled:
                self._mapped[ours] = filled[0]

    def _map_orders(self) -> None:
        counts = [name for name in self._called("orders") if self._is_number(name)]
        direct = [name for name in self._called("per_year") if self._is_number(name)]
        if direct:
            self._mapped["purchase_frequency"] = direct[0]
        elif counts:
            for since in self._called("since"):
                formats, _ = self._formats(since)
                if formats is not None:
                    mapped = {"from": counts[0], "as": "per_year", "since": since}
                    self._mapped["purchase_frequency"] = {**mapped, **formats}
                    break
            else:
                self.warnings.append(
                    f"{counts[0]!r} counts orders, but no date says since when: it gives no "
                    "purchase_frequency"
                )
        averages = [name for name in self._called("average") if self._is_number(name)]
        spent = [name for name in self._called("spent") if self._is_number(name)]
        if averages:
            self._mapped["avg_order_value"] = averages[0]
        elif spent and counts:
            self._mapped["avg_order_value"] = {
                "from": spent[0], "as": "number", "divide_by": counts[0],
            }  # fmt: skip
        for ours in ("purchase_frequency", "avg_order_value"):
            found = self._mapped.get(ours)
            start = found.get("since") if isinstance(found, dict) else None
            is_known = start is None or self._profiles[str(start)].filled == self._sampled
            # A blank count of orders is none.
            if found and is_known and self._profiles[_column_of(found)].filled < self._sampled:
                self._missing[ours] = 0

    def _map_engagement(self) -> None:
        days = [name for name in self._called("days") if self._is_number(name)]
        if days:
            self._mapped["last_engagement_days"] = days[0]
        else:
            self._map_date("last_engagement_days", "last", "days_since")
        for ours, rate, count in (
            ("historical_open_rate", "open_rate", "opened"),
            ("historical_click_rate", "click_rate", "clicked"),
        ):
            rates = [name for name in self._called(rate) if self._is_number(name)]
            counts = [name for name in self._called(count) if self._is_number(name)]
            delivered = [name for name in self._called("delivered") if self._is_number(name)]
            if rates:
                profile = self._profiles[rates[0]]
                highest = self._highest(rates[0])
                percent = profile.percents or (highest is not None and highest > 1)
                self._mapped[ours] = {"from": rates[0], "as": "percent"} if percent else rates[0]
            elif counts and delivered:
                self._mapped[ours] = {
                    "from": counts[0], "as": "number", "divide_by": delivered[0],
                }  # fmt: skip

    def _highest(self, name: str) -> float | None:
        value = conversions.number(self._text(name), self.options)
        ((found,),) = self.tables.rows(f"select max({value}) from {_TABLE}")  # noqa: S608 - quoted
        return cast("float | None", found)

    def _map_date(self, ours: str, meaning: str, conversion: str) -> None:
        for name in self._called(meaning):
            formats, day = self._formats(name)
            if formats is None:
                continue
            self._mapped[ours] = {"from": name, "as": conversion, **formats}
            if conversion == "days_since":
                self._day = day
            return

    def _formats(self, name: str) -> tuple[dict[str, object] | None, str]:
        """The keys that read a column of dates, and the SQL of the date; None if it holds none."""
        text, profile = self._text(name), self._profiles[name]
        if self.source.kinds[name] is ColumnKind.TIME:
            return {}, f"cast({identifier(name)} as date)"
        if not profile.filled:
            return None, ""
        shapes = self._shapes(text)
        written = [f"{day}{time}" for day in _DAY_FORMATS for time in _TIME_FORMATS]
        likely = [pattern for pattern in written if _shape(_sample(pattern)) in shapes]
        candidates = [(), *((pattern,) for pattern in (*likely, *conversions.NUMBERED_DATES))]
        days = [conversions.date(text, formats, self.options) for formats in candidates]
        patterns = [conversions.NUMBERED_DATES.get("".join(formats)) for formats in candidates]
        within = [
            f"year({day}) between {_FIRST_YEAR} and {_LAST_YEAR}"
            + (f" and regexp_matches({text}, '{pattern}')" if pattern else "")
            for day, pattern in zip(days, patterns, strict=True)
        ]
        counts = ", ".join(f"count(*) filter (where {test})" for test in within)
        (found,) = self.tables.rows(
            f"select {counts} from {_TABLE} where _row <= {_SAMPLE_ROWS}"  # noqa: S608 - quoted
        )
        read = [int(str(n)) for n in found]
        best = max(read)
        if best < _MOSTLY * profile.filled:
            return self._with_words(name, candidates, read)
        return self._chosen(name, candidates, read, best)

    def _shapes(self, text: str) -> set[str]:
        """The shapes of the first different values."""
        statement = f"select distinct {text} from {_TABLE} where _row <= {_SHAPED_ROWS}"  # noqa: S608 - quoted
        return {_shape(str(value)) for (value,) in self.tables.rows(statement)}

    def _chosen(
        self, name: str, candidates: Sequence[tuple[str, ...]], read: Sequence[int], best: int
    ) -> tuple[dict[str, object] | None, str]:
        winners = [c for c, n in zip(candidates, read, strict=True) if n == best]
        orders = {_order(c[0]) for c in winners if c and _order(c[0])}
        if len(orders) > 1 and () not in winners:
            self.warnings.append(
                f"{name!r}: day and month cannot be told apart; set formats to "
                f"{' or '.join(repr(list(c)) for c in winners)}"
            )
            return None, ""
        formats = winners[0]
        keys: dict[str, object] = {"formats": list(formats)} if formats else {}
        return keys, conversions.date(self._text(name), formats, self.options)

    def _with_words(
        self, name: str, candidates: Sequence[tuple[str, ...]], read: Sequence[int]
    ) -> tuple[dict[str, object] | None, str]:
        """The formats of a column in which words such as `never` stand for no date."""
        text = self._text(name)
        statement = (
            f"select {text}, count(*) from {_TABLE} where not regexp_matches({text}, '[0-9]') "  # noqa: S608 - quoted
            f"and trim({text}) <> '' and _row <= {_SAMPLE_ROWS} group by {text} limit 9"
        )
        words = {str(word): int(str(n)) for word, n in self.tables.rows(statement)}
        dates = self._profiles[name].filled - sum(words.values())
        best = max(read)
        if not words or len(words) > _MOST_WORDS or not best or best < _MOSTLY * dates:
            return None, ""
        keys, day = self._chosen(name, candidates, read, best)
        return (None if keys is None else {**keys, "values": dict.fromkeys(words, "")}), day


def _order(pattern: str) -> str:
    """Whether a format has the day or the month first; empty if the month is a name."""
    first = [letter for letter in pattern.split(" ", maxsplit=1)[0] if letter in "dm"]
    return first[0] if len(first) > 1 else ""


def _shape(text: str) -> str:
    """A text with d for digits and a for letters, so that dates of one format look alike."""
    return re.sub(r"[^\W\d_]+[.]?", "a", re.sub("[0-9]+", "1", text.strip())).replace("1", "d")


def _sample(pattern: str) -> str:
    """A text in a date format."""
    return re.sub("%[bBaAp]", "x", re.sub("(%[YymdHIMSjf])+", "1", pattern))


def _column_of(mapped: object) -> str:
    return str(mapped["from"]) if isinstance(mapped, dict) else str(mapped)


def _default_of(name: str) -> str:
    column = next(column for column in CUSTOMERS.columns if column.name == name)
    return "text" if column.kind is ColumnKind.TEXT else "number"

"""Compiles a user's rule to a checked SQL expression.

The rule is parsed, and the SQL is generated from the syntax tree, so nothing in the user's text
reaches an engine except as a quoted name or an escaped literal. Any construct that is not listed
here is refused.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liftwright.data.sql_fragments import identifier, literal
from liftwright.errors import ConfigurationError
from liftwright.model import ColumnKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from sqlglot import exp

MAXIMUM_CHARACTERS = 1000
_SHOWN_CHARACTERS = 80
_ALLOWED = (
    "columns, numbers, 'texts', true, false, and, or, not, =, <>, <, <=, >, >=, between, in, "
    "is null, +, -, *, / and parentheses"
)
_BOOLEAN, _NUMBER, _TEXT = "true or false", "a number", "a text"
_TYPES = {
    ColumnKind.TEXT: _TEXT,
    ColumnKind.NUMBER: _NUMBER,
    ColumnKind.INTEGER: _NUMBER,
    ColumnKind.FLAG: _BOOLEAN,
}


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the known name closest to `name`; empty if none is close."""
    by_fold = {k.casefold(): k for k in known}
    matches = difflib.get_close_matches(name.casefold(), by_fold, n=1)
    return f"; did you mean {by_fold[matches[0]]!r}?" if matches else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A checked expression.

    Attributes:
        text: the rule as written.
        sql: the rule in the data plane's SQL.
        columns: the columns that it reads.
    """

    text: str
    sql: str
    columns: frozenset[str]


class _RefusedError(Exception):
    """Why a rule is refused; becomes a `ConfigurationError` that names file and key."""


def compile_rule(  # noqa: PLR0913 - all but three have defaults
    text: str,
    columns: Mapping[str, ColumnKind],
    where: str,
    *,
    absent: Collection[str] = (),
    blank_texts: bool = False,
    value: Callable[[str], str] = identifier,
) -> Rule:
    """Compile a condition on a customer: true, false, or null where a value is missing.

    Args:
        text: the rule, such as `avg_order_value > 200 and tier in ('Gold', 'Silver')`.
        columns: the columns that it may name, with their types.
        where: file and key, for messages.
        absent: known columns that the customer file lacks.
        blank_texts: whether a missing text compares as a text that differs from every other:
            `consent <> 'yes'` is then true, `consent = 'yes'` false.
        value: the SQL of a column's value, by the column's name.

    Raises:
        ConfigurationError: the rule is not valid; the message names the offending part.
    """
    walk = _Walk(columns=columns, absent=absent, render=value, blank_texts=blank_texts)
    return _compile(text, walk, where, _BOOLEAN)


def columns_of(text: str, columns: Collection[str], where: str) -> frozenset[str]:
    """The names among `columns` that a rule or an amount mentions.

    Raises:
        ConfigurationError: the text cannot be parsed.
    """
    from sqlglot import exp

    try:
        tree = _parse(text)
    except _RefusedError as refusal:
        raise ConfigurationError(f"{where}: {refusal}") from None
    written = {node.name.casefold() for node in tree.find_all(exp.Column)}
    return frozenset(name for name in columns if name.casefold() in written)


def compile_amount(
    text: str, columns: Collection[str], where: str, *, number: Callable[[str], str]
) -> Rule:
    """Compile arithmetic on columns, such as `Quantity * "Unit Price"`, or a single column's name.

    Args:
        text: the arithmetic; a name with spaces needs double quotes, unless it is the whole text.
        columns: the columns that it may name.
        where: file and key, for messages.
        number: the SQL of a column's number, by the column's name.

    Raises:
        ConfigurationError: as for `compile_rule`.
    """
    rule = identifier(text) if text in columns else text
    walk = _Walk(columns=dict.fromkeys(columns, ColumnKind.NUMBER), absent=(), render=number)
    return _compile(rule, walk, where, _NUMBER)


def _compile(text: str, walk: _Walk, where: str, wanted: str) -> Rule:
    try:
        sql = walk.read_whole(_parse(text), wanted)
    except _RefusedError as refusal:
        shown = text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
        raise ConfigurationError(f"{where}: {shown!r}: {refusal}") from None
    return Rule(text=text, sql=sql, columns=frozenset(walk.used))


def _parse(text: str) -> exp.Expr:
    import sqlglot
    from sqlglot.errors import SqlglotError

    if len(text) > MAXIMUM_CHARACTERS:
        raise _RefusedError(f"{len(text)} characters; at most {MAXIMUM_CHARACTERS} are allowed")
    if "\0" in text:
        raise _RefusedError("a NUL character is not allowed")
    try:
        _check_tokens(text)
        tree = sqlglot.parse_one(text, read="duckdb")
    except SqlglotError:
        raise _RefusedError(f"is not a valid rule; allowed: {_ALLOWED}") from None
    except RecursionError:
        raise _RefusedError("nested too deeply") from None
    return tree


def _check_tokens(text: str) -> None:
    """Refuse comments and semicolons, which the parser would skip."""
    import sqlglot

    tokens = sqlglot.tokenize(text, read="duckdb")
    if not tokens:
        raise _RefusedError("is empty, allowed: a condition")
    end = 0
    for token in tokens:
        if token.token_type.name == "SEMICOLON":
            raise _RefusedError("';' is not allowed")
        if token.comments or text[end : token.start].strip():
            raise _RefusedError("comments are not allowed")
        end = token.end + 1
    if text[end:].strip():
        raise _RefusedError("comments are not allowed")


@dataclass(slots=True, kw_only=True)
class _Walk:
    """Compiles a syntax tree: each node becomes a type and SQL, or is refused."""

    columns: Mapping[str, ColumnKind]
    absent: Collection[str]
    render: Callable[[str], str] = identifier
    blank_texts: bool = False
    used: set[str] = field(default_factory=set)

    def read_whole(self, node: exp.Expr, wanted: str) -> str:
        """The SQL of the whole rule, which must be of type `wanted`."""
        try:
            actual, sql = self._read(node)
        except RecursionError:
            raise _RefusedError("nested too deeply") from None
        if actual != wanted:
            raise _RefusedError(f"the rule gives {actual}, allowed: {wanted}")
        return sql

    def _read(self, node: exp.Expr) -> tuple[str, str]:
        reader = getattr(self, f"_read_{type(node).__name__.lower()}", None)
        if reader is not None:
            result: tuple[str, str] = reader(node)
            return result
        sign = _LOGIC.get(type(node).__name__)
        if sign:
            left, right = self._as(_BOOLEAN, node.this), self._as(_BOOLEAN, node.expression)
            return _BOOLEAN, f"({left} {sign} {right})"
        sign = _ARITHMETIC.get(type(node).__name__)
        if sign:
            left, right = self._as(_NUMBER, node.this), self._as(_NUMBER, node.expression)
            return _NUMBER, f"({left} {sign} {right})"
        sign = _COMPARISONS.get(type(node).__name__)
        if sign:
            kind, (left, right) = self._comparable(node.this, node.expression)
            return _BOOLEAN, self._compared(kind, f"{left} {sign} {right}", blank=sign == "<>")
        raise _RefusedError(f"{_shown(node)} is not allowed; allowed: {_ALLOWED}")

    def _as(self, wanted: str, node: exp.Expr) -> str:
        actual, sql = self._read(node)
        if actual != wanted:
            raise _RefusedError(f"{_shown(node)} is {actual} where {wanted} is expected")
        return sql

    def _compared(self, kind: str, comparison: str, *, blank: bool = False) -> str:
        """The SQL of a comparison; `blank` is its value where a text is missing."""
        if self.blank_texts and kind == _TEXT:
            return f"coalesce({comparison}, {literal(blank)})"
        return f"({comparison})"

    def _comparable(self, *operands: exp.Expr) -> tuple[str, list[str]]:
        """The type of operands that must have the same one, and their SQL."""
        for node in operands:
            if _is_null(node):
                raise _RefusedError("null is compared with 'is null', not with a sign")
            if type(node).__name__ in _COMPARISONS:
                raise _RefusedError("comparisons cannot be chained; join them with 'and'")
        read = [self._read(node) for node in operands]
        for (actual, _), node in zip(read, operands, strict=True):
            if actual != read[0][0]:
                quoted = any(_is_text(node) for node in operands)
                hint = " (a number needs no quotes)" if quoted else ""
                raise _RefusedError(
                    f"{_shown(node)} is {actual}, {_shown(operands[0])} is {read[0][0]}; "
                    f"they cannot be compared{hint}"
                )
        return read[0][0], [sql for _, sql in read]

    def _read_paren(self, node: exp.Expr) -> tuple[str, str]:
        return self._read(node.this)

    def _read_not(self, node: exp.Expr) -> tuple[str, str]:
        return _BOOLEAN, f"(not {self._as(_BOOLEAN, node.this)})"

    def _read_neg(self, node: exp.Expr) -> tuple[str, str]:
        return _NUMBER, f"(- {self._as(_NUMBER, node.this)})"

    def _read_div(self, node: exp.Expr) -> tuple[str, str]:
        left, right = self._as(_NUMBER, node.this), self._as(_NUMBER, node.expression)
        # Engines differ on division by zero: make it null on all of them.
        return _NUMBER, f"({left} / nullif({right}, 0e0))"

    def _read_between(self, node: exp.Expr) -> tuple[str, str]:
        if node.args.get("symmetric"):
            raise _RefusedError("'symmetric' is not allowed")
        operands = (node.this, node.args["low"], node.args["high"])
        kind, (value, low, high) = self._comparable(*operands)
        return _BOOLEAN, self._compared(kind, f"{value} between {low} and {high}")

    def _read_in(self, node: exp.Expr) -> tuple[str, str]:
        listed = node.args.get("expressions")
        if not listed or any(node.args.get(k) for k in ("query", "unnest", "field")):
            raise _RefusedError("'in' takes a list in parentheses, such as ('a', 'b')")
        kind, (value, *items) = self._comparable(node.this, *listed)
        return _BOOLEAN, self._compared(kind, f"{value} in ({', '.join(items)})")

    def _read_is(self, node: exp.Expr) -> tuple[str, str]:
        if not _is_null(node.expression):
            raise _RefusedError("'is' is allowed only in 'is null' and 'is not null'")
        _, value = self._read(node.this)
        return _BOOLEAN, f"({value} is null)"

    def _read_boolean(self, node: exp.Expr) -> tuple[str, str]:
        return _BOOLEAN, "true" if node.this else "false"

    def _read_literal(self, node: exp.Expr) -> tuple[str, str]:
        if _is_text(node):
            return _TEXT, literal(str(node.this))
        try:
            return _NUMBER, literal(float(str(node.this)))
        except ValueError:
            raise _RefusedError(f"{_shown(node)} is out of range for a number") from None

    def _read_column(self, node: exp.Expr) -> tuple[str, str]:
        if any(node.args.get(part) for part in ("table", "db", "catalog")):
            raise _RefusedError(f"{_shown(node)}: a column name has no dot")
        name = self._resolve(node.name, quoted=bool(node.this.args.get("quoted")))
        kind = _TYPES.get(self.columns[name])
        if kind is None:
            raise _RefusedError(f"column {name!r} contains times, which rules do not support")
        self.used.add(name)
        return kind, self.render(name)

    def _resolve(self, written: str, *, quoted: bool) -> str:
        by_fold = {name.casefold(): name for name in self.columns}
        absent = {name.casefold(): name for name in self.absent}
        if written.casefold() in absent:
            name = absent[written.casefold()]
            raise _RefusedError(f"column {name!r} is absent from the customers (mapped to null)")
        if written in self.columns:
            return written
        if written.casefold() in by_fold:
            return by_fold[written.casefold()]
        hint = "; text needs single quotes" if quoted else ""
        known = [name for name in self.columns if name.casefold() not in absent]
        raise _RefusedError(f"unknown column {written!r}{did_you_mean(written, known) or hint}")


_LOGIC = {"And": "and", "Or": "or"}
_ARITHMETIC = {"Add": "+", "Sub": "-", "Mul": "*"}
_COMPARISONS = {"EQ": "=", "NEQ": "<>", "LT": "<", "LTE": "<=", "GT": ">", "GTE": ">="}


def _is_null(node: exp.Expr) -> bool:
    return type(node).__name__ == "Null"


def _is_text(node: exp.Expr) -> bool:
    return type(node).__name__ == "Literal" and bool(node.args.get("is_string"))


def _shown(node: exp.Expr) -> str:
    """The node's SQL for messages, truncated."""
    text = node.sql(dialect="duckdb")
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…")

"""Amounts of money as people and shops write them: signs, currencies, separators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liftwright.data.sql_fragments import ADDRESS_SPACES, identifier, literal
from liftwright.errors import DataError

if TYPE_CHECKING:
    from liftwright.data.tables import Tables

_SIGNS = "$€£¥₹₽₺₩₪฿₫₴'\u2019"
_MINUS = "\u2212"
_FORM = r"^[(]?[+-]?([A-Za-z]{2,3}[.]?)?[+-]?[0-9][0-9.,]*([A-Za-z]{2,3}[.]?)?-?[)]?$"
_POINT = r"^([0-9]+|[0-9]{1,3}(,[0-9]{3})+)([.][0-9]+)?$"
_COMMA = r"^([0-9]+|[0-9]{1,3}([.][0-9]{3})+)(,[0-9]+)?$"
# What only one of the two ways to write a number explains.
_ONLY_POINT = r"^[0-9]{1,3}(,[0-9]{3})+[.][0-9]+$|^[0-9]+[.]([0-9]{1,2}|[0-9]{4,})$"
_ONLY_POINT += r"|^[0-9]{1,3}(,[0-9]{3}){2,}$"
_ONLY_COMMA = r"^[0-9]{1,3}([.][0-9]{3})+,[0-9]+$|^[0-9]+,([0-9]{1,2}|[0-9]{4,})$"
_ONLY_COMMA += r"|^[0-9]{1,3}([.][0-9]{3}){2,}$"


def amount_of(text: str, decimal: str | None) -> str:
    """SQL of the amount in a text, with `.` or `,` before its decimals; null if it is none.

    None reads plain numbers only, which is ten times as fast.

    The other separator, spaces and apostrophes may group digits. A minus sign on either side, or
    parentheses, make the amount negative; a currency's sign or code is ignored.
    """
    if decimal is None:
        return f"number_of({text})"
    bare, digits = _bare(text), _digits(text)
    group, form = (",", _POINT) if decimal == "." else (".", _COMMA)
    grouped = f"regexp_matches({bare}, {literal(_FORM)}) and "
    grouped += f"regexp_matches({digits}, {literal(form)})"
    number = f"number_of(translate({digits}, {literal(decimal + group)}, '.'))"
    sign = f"case when strpos({bare}, '-') > 0 or strpos({bare}, '(') > 0 then -1e0 else 1e0 end"
    amount = f"case when {grouped} then {sign} * {number} end"
    # Other numbers, such as 1e3.
    return f"coalesce({amount}, number_of({text}))" if decimal == "." else amount


def find_decimal(tables: Tables, table: str, text: str, where: str) -> str | None:
    """The character before the decimals of a column of amounts; None if all are plain numbers.

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
        return None
    digits = _digits(text)
    counts = ", ".join(
        f"count(*) filter (where regexp_matches({digits}, {literal(pattern)}))"
        for pattern in (
            _ONLY_POINT,
            _ONLY_COMMA,
            "^[0-9]{1,3},[0-9]{3}$",
            "^[0-9]{1,3}[.][0-9]{3}$",
        )
    )
    ((*counted,),) = tables.rows(f"select {counts} from {identifier(table)}")  # noqa: S608 - quoted
    points, commas, lone_commas, lone_points = (int(str(count)) for count in counted)
    if points and commas:
        found = f"{points:,} amounts with a decimal point and {commas:,} with a decimal comma"
    elif commas and lone_points:
        found = f"{lone_points:,} amounts such as 1.299 beside {commas:,} with a decimal comma"
    elif lone_commas and not (points or commas):
        found = f"{lone_commas:,} amounts such as 1,299, which may be thousands or decimals"
    else:
        return "," if commas else "."
    raise DataError(f"{where}: {found}; set decimal: '.' or ',' in config/engagement.yaml")


def _bare(text: str) -> str:
    """SQL of the text without spaces, apostrophes and the signs of currencies."""
    return f"translate({text}, {literal(_MINUS + ADDRESS_SPACES + _SIGNS)}, '-')"


def _digits(text: str) -> str:
    return f"regexp_extract({_bare(text)}, '[0-9][0-9.,]*', 0)"

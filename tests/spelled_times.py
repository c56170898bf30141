"""Times as people and programs spell them, with what they mean in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn


@st.composite
def spelled_times(draw: DrawFn) -> tuple[str, str]:
    """A text in ISO 8601, and the time in UTC that it spells, as `YYYY-MM-DD HH:MM:SS.ffffff`."""
    moment = draw(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)))  # noqa: DTZ001 - its zone is spelled apart
    form = draw(st.sampled_from(["day", "minutes", "seconds", "parts"]))
    kept = {"day": 10, "minutes": 16, "seconds": 19, "parts": 26}[form]
    local = f"{moment:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0")[:kept]
    meant = datetime.fromisoformat(local).replace(tzinfo=UTC)
    text = local.replace(" ", draw(st.sampled_from([" ", "T"])))
    if draw(st.booleans()):
        text = text.replace("-0", "-")
    if form == "parts":
        text += draw(st.sampled_from(["", "9", "123"]))
    if form != "day":
        zone, minutes = draw(_zones())
        text, meant = text + zone, meant - timedelta(minutes=minutes)
    around = st.text(" \t\r\n\f", max_size=2)
    return draw(around) + text + draw(around), f"{meant:%Y-%m-%d %H:%M:%S.%f}".rjust(26, "0")


@st.composite
def _zones(draw: DrawFn) -> tuple[str, int]:
    """A zone, and by how many minutes its clocks are ahead of UTC."""
    named = draw(st.sampled_from(["", "Z", " Z", " UTC", None]))
    if named is not None:
        return named, 0
    ahead = draw(st.integers(-14 * 60, 14 * 60))
    hours, minutes = divmod(abs(ahead), 60)
    forms = [f"{hours:02}:{minutes:02}", f"{hours:02}{minutes:02}"]
    forms += [f"{hours:02}"] if minutes == 0 else []
    signs = "+-" if ahead == 0 else "-+"[ahead > 0]
    space = draw(st.sampled_from(["", " "]))
    return space + draw(st.sampled_from(signs)) + draw(st.sampled_from(forms)), ahead


@st.composite
def misspelled_times(draw: DrawFn) -> str:
    """A time with one character taken out, put in or replaced: it may still spell one."""
    text, _ = draw(spelled_times())
    at = draw(st.integers(0, len(text)))
    drop = draw(st.integers(0, 1))
    put = draw(st.sampled_from(["", *"0159:+-.,TZtz /\u00a0\u0663UC"]))
    return text[:at] + put + text[at + drop :]

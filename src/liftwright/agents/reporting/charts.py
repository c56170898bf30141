"""The report's charts as Vega-Lite specifications, for notebooks and print."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.agents.reporting.markdown import Markdown, join_list, metric_label, signed_percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from liftwright.agents.reporting.run_reader import RunFiles
    from liftwright.analysis import ArmComparison

FONTS = Path(__file__).parent / "fonts"
VEGA_LITE = "application/vnd.vegalite.v6+json"
# The Okabe-Ito palette: distinguishable for colour-blind readers and in greyscale.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")
_FONT = "Inter, Helvetica, Arial, sans-serif"
_INK, _FAINT = "#1f2933", "#d9dee4"
_PICTURE_SCALE = 2.0
_CLIP = re.compile(r"(?<=[\"#])clip\d+(?=[\")])")
_SCHEMA = "https://vega.github.io/schema/vega-lite/v6.4.1.json"
_CONFIG: Mapping[str, object] = {
    "font": _FONT,
    "background": "white",
    "padding": 4,
    "axis": {
        "labelColor": _INK, "titleColor": _INK, "gridColor": _FAINT, "domainColor": _FAINT,
        "tickColor": _FAINT, "labelFontSize": 11, "titleFontSize": 11,
        "titleFontWeight": "normal",
    },
    "header": {"labelFontSize": 12, "labelFontWeight": 600, "labelColor": _INK, "title": None},
    "legend": {"labelFontSize": 11, "title": None, "orient": "top"},
    "title": {
        "fontSize": 13, "fontWeight": 600, "color": _INK, "anchor": "start", "offset": 10,
        "subtitleColor": _INK, "subtitleFontSize": 11,
    },
    "view": {"continuousWidth": 300, "continuousHeight": 300, "stroke": None},
    "range": {"category": list(PALETTE)},
}  # fmt: skip
_PANELS_IN_A_ROW = 2
# The axis extends to this multiple of the longest bar, so that wide intervals do not hide the bars.
_MAX_INTERVAL_RATIO, _MIN_FRAME, _MARGIN = 2.0, 0.2, 1.05


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart that a notebook cell displays; `alt` is its alternative text."""

    specification: Mapping[str, object]
    alt: str

    def mime_bundle(self) -> tuple[dict[str, object], dict[str, object]]:
        """The output of a cell by MIME type, and its metadata."""
        vector = self.svg()
        picture = _renderer().svg_to_png(vector, scale=_PICTURE_SCALE)
        bundle: dict[str, object] = {
            "text/plain": self.alt,
            "image/png": base64.b64encode(picture).decode(),
            "image/svg+xml": vector,
            VEGA_LITE: self.specification,
        }
        return bundle, {"image/svg+xml": {"alt": self.alt}, "image/png": {"alt": self.alt}}

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, object], dict[str, object]]:
        del include, exclude
        return self.mime_bundle()

    def svg(self) -> str:
        """The chart as SVG; equal charts give equal text."""
        drawn = str(_renderer().vegalite_to_svg(dict(self.specification)))
        # Vega numbers clip paths across the process; on a page their ids must be unique.
        name = hashlib.sha256(self.alt.encode()).hexdigest()[:8]
        numbers = {clip: str(n) for n, clip in enumerate(dict.fromkeys(_CLIP.findall(drawn)), 1)}
        return _CLIP.sub(lambda clip: f"{name}-{numbers[clip[0]]}", drawn)


def styled_chart(specification: Mapping[str, object], alt: str) -> Chart:
    """A chart in the report's fonts and colours.

    Args:
        specification: Vega-Lite with inline data, as from Altair's `to_dict()`.
        alt: the alternative text.
    """
    return Chart({**specification, "$schema": _SCHEMA, "config": _CONFIG}, alt)


def lift_by_variant(run: RunFiles) -> Chart | Markdown:
    """Bars of each arm's lift over control with its interval, one panel per metric."""
    rows = [row for row in run.result.rows() if row.lift is not None]
    title = "Lift over control by variant, with intervals"
    everything = [metric_label(row.metric) for row in run.result.rows()]
    return _lift_chart(rows, [metric_label(row.metric) for row in rows], everything, title, run)


def lift_by_segment(run: RunFiles) -> Chart | Markdown:
    """The same for the primary metric, one panel per segment."""
    metric = run.result.deciding_metric
    rows = [
        row
        for segment in run.result.segments
        for row in run.result.rows(segment, metric)
        if row.lift is not None
    ]
    title = f"Lift in {metric_label(metric)} over control by segment, with intervals"
    return _lift_chart(rows, [row.segment for row in rows], run.result.segments, title, run)


def balance(run: RunFiles) -> Chart | Markdown:
    """The difference between each arm's customers and control, in standard deviations."""
    values = [
        {
            "feature": row.feature.replace("_", " "),
            "arm": row.arm,
            "difference": row.difference,
        }
        for row in (run.result.balance.differences if run.result.balance else ())
        if row.difference is not None
    ]
    if not values:
        return Markdown("The balance of the features was not recorded.")
    points = {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "size": 60},
        "encoding": {
            "x": _quantity("difference", title="standard deviations from control"),
            "y": _name("feature", title=None, sort=None, axis={"labelLimit": 220}),
            "color": _name("arm", sort=None),
            "shape": _name("arm", sort=None),
        },
    }
    drawn = {
        "title": "Balance of features across arms",
        "width": 400,
        "height": 150,
        "layer": [{"data": {"values": [{}]}, **_zero("x")}, points],
    }
    largest = max(abs(float(str(value["difference"]))) for value in values)
    return styled_chart(
        drawn,
        f"Points: difference of each arm from control in each feature; the largest is "
        f"{largest:.3f} standard deviations.",
    )


def _lift_chart(
    rows: Sequence[ArmComparison],
    panels: Sequence[str],
    wanted: Sequence[str],
    title: str,
    run: RunFiles,
) -> Chart | Markdown:
    """Bars with intervals, one panel for each name in `wanted` that has rows."""
    if not rows:
        return Markdown("No chart: no lift could be estimated.")
    values = [
        {
            "panel": panel,
            "arm": row.arm,
            "lift": row.lift,
            "low": row.lift_ci[0] if row.lift_ci else None,
            "high": row.lift_ci[1] if row.lift_ci else None,
            "label": signed_percent(row.lift),
        }
        for row, panel in zip(rows, panels, strict=True)
    ]
    arms = list(run.result.treatments)
    frame, cut = _frame(rows)
    x = _name("arm", title=None, sort=arms, axis={"labelAngle": 0})
    lift = _quantity(
        "lift",
        title="lift",
        scale={"domain": frame, "nice": False},
        axis={"format": "+.0%", "tickCount": 6},
    )
    bars = {
        "mark": {"type": "bar", "size": 34, "opacity": 0.85, "clip": True},
        "encoding": {
            "x": x,
            "y": lift,
            "color": _name("arm", sort=arms, legend=None),
            "tooltip": [_name("panel"), _name("arm"), *map(_quantity, ("lift", "low", "high"))],
        },
    }
    whiskers = {
        "mark": {"type": "rule", "strokeWidth": 1.5, "color": _INK, "clip": True},
        "encoding": {"x": x, "y": _quantity("low"), "y2": {"field": "high"}},
    }
    caps = [
        {
            "mark": {"type": "tick", "size": 10, "thickness": 1.5, "color": _INK, "clip": True},
            "encoding": {"x": x, "y": _quantity(end)},
        }
        for end in ("low", "high")
    ]
    missing = [name for name in dict.fromkeys(wanted) if name not in panels]
    notes = [
        f"Not shown, because not estimable: {join_list(missing)}." if missing else "",
        "Long intervals are cut off; the table shows their limits." if cut else "",
    ]
    drawn = {
        "title": {
            "text": _with_simulated(title, run),
            "subtitle": [note for note in notes if note],
        },
        "data": {"values": values},
        "facet": _name("panel", sort=list(dict.fromkeys(panels)), title=None),
        "columns": _PANELS_IN_A_ROW,
        "spec": {"width": 250, "height": 140, "layer": [bars, _zero("y"), whiskers, *caps]},
        "resolve": {"axis": {"x": "independent", "y": "independent"}},
    }
    lifts = "; ".join(f"{v['panel']}, {v['arm']} {v['label']}" for v in values)
    return styled_chart(drawn, f"{title}. {lifts}.")


def _frame(rows: Sequence[ArmComparison]) -> tuple[list[float], bool]:
    """The axis range that shows every bar in full, and whether it cuts off an interval."""
    bars = [row.lift or 0.0 for row in rows]
    ends = [end for row in rows for end in row.lift_ci or () if end is not None]
    limit = max(_MIN_FRAME, _MAX_INTERVAL_RATIO * max(map(abs, bars)))
    low, high = min([0.0, *bars, *ends]), max([0.0, *bars, *ends])
    shown = [_MARGIN * max(low, -limit), _MARGIN * min(high, limit)]
    if shown == [0.0, 0.0]:
        shown = [-_MIN_FRAME, _MIN_FRAME]
    return shown, low < -limit or high > limit


def _with_simulated(title: str, run: RunFiles) -> str:
    return f"{title} (SIMULATED)" if run.simulated else title


def _zero(axis: str) -> dict[str, object]:
    mark = {"type": "rule", "color": _INK, "strokeWidth": 1}
    return {"mark": mark, "encoding": {axis: {"datum": 0}}}


def _name(field: str, **options: object) -> dict[str, object]:
    return {"field": field, "type": "nominal", **options}


def _quantity(field: str, **options: object) -> dict[str, object]:
    return {"field": field, "type": "quantitative", **options}


@cache
def _renderer() -> ModuleType:
    import vl_convert

    vl_convert.register_font_directory(str(FONTS))
    return vl_convert

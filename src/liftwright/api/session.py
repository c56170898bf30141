"""Opens the workspace of an API call, its customers and its segments."""

from __future__ import annotations

import atexit
import contextlib
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftwright.agents import segmentation as segmenting
from liftwright.api.records import (
    label_of,
    to_segment,
)
from liftwright.api.rows import open_tables, read_customers
from liftwright.campaign import init_workspace
from liftwright.campaign.bootstrap import open_context
from liftwright.campaign.run_resolver import absolute_location
from liftwright.data import did_you_mean, load_customers
from liftwright.errors import InputError
from liftwright.model import Segment
from liftwright.wiring import read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from liftwright.campaign.context import RunContext
    from liftwright.config import RfmBand, SegmentRule, Segments
    from liftwright.data import Tables

    Row = Mapping[str, Any]
    CustomersLike = pd.DataFrame | Sequence[Row] | str | Path
    SegmentLike = Segment | Row | str


def open_session(workspace: str | Path | None) -> RunContext:
    """The context of the workspace that an API call works in."""
    root = workspace_root(workspace)
    return open_context(root, read_settings(root))


def workspace_root(workspace: str | Path | None) -> Path:
    """The named workspace, else the current folder, else a sample of this process's own."""
    return Path(workspace) if workspace is not None else _default_workspace(Path.cwd())


@functools.cache
def _default_workspace(folder: Path) -> Path:
    """The folder itself where it is a workspace, else one of this process's own."""
    if (folder / "config").is_dir():
        return folder
    own = tempfile.TemporaryDirectory(prefix="liftwright-")
    atexit.register(own.cleanup)
    root = Path(own.name) / "workspace"
    init_workspace(root)
    return root


@contextlib.contextmanager
def open_customers(
    customers: CustomersLike, workspace: str | Path | None
) -> Iterator[tuple[Tables, RunContext]]:
    """The table `customers`, read and checked like those of a run."""
    with (
        contextlib.closing(open_session(workspace)) as context,
        open_tables(context.places) as tables,
    ):
        if isinstance(customers, str | Path):
            config = context.settings.customers.model_copy(
                update={"path": absolute_location(customers)}
            )
            load_customers(tables, config, context.root)
        else:
            read_customers(tables, customers)
        yield tables, context


def place(tables: Tables, context: RunContext, method: str | None) -> segmenting.Segmentation:
    """Put every customer into a segment; makes the table `segmented`."""
    config = context.settings.segments
    if method is not None:
        if method not in ("rules", "rfm", "kmeans"):
            raise InputError(f"method: found {method!r}, allowed: rules, rfm, kmeans")
        config = config.model_copy(update={"method": method})
    return segmenting.segment_customers(tables, config, seed=context.settings.experiment.seed)


def segment_of(context: RunContext, given: SegmentLike) -> Segment:
    """A segment from its label, a mapping, or itself."""
    if isinstance(given, Segment):
        return given
    if isinstance(given, Mapping):
        return to_segment(_configured(given, context.settings.segments))
    context.load_customers()
    found = place(context.tables, context, None).segments
    for one in found:
        if one.label == given:
            return one
    labels = [one.label for one in found]
    hint = did_you_mean(given, labels) or f"; the segments are: {', '.join(labels)}"
    raise InputError(f"segment {given!r}: no such segment{hint}")


def _configured(given: Row, segments: Segments) -> Row:
    """What is said of a segment, and below it what segments.yaml says of one of that name."""
    named: list[SegmentRule | RfmBand] = [*segments.rules, *segments.rfm]
    for one in named:
        if one.label == label_of(given):
            known = {"description": one.description, "audience": one.audience}
            return {**known, "interests": one.interests, **given}
    return given

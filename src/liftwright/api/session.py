"""Opens the workspace, customers and segments of an API call."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liftwright.agents import segmentation as segmenting
from liftwright.api.records import label_of, to_segment
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
    """The context of the workspace of an API call."""
    root = workspace_root(workspace)
    return open_context(root, read_settings(root))


def workspace_root(workspace: str | Path | None) -> Path:
    """The workspace of an API call.

    The given one, else that of the variable LIFTWRIGHT_WORKSPACE, else the current folder, else a
    temporary sample workspace.
    """
    if workspace is not None:
        return Path(workspace)
    named = os.environ.get("LIFTWRIGHT_WORKSPACE")
    return Path(named) if named else _default_workspace(Path.cwd())


@functools.cache
def _default_workspace(folder: Path) -> Path:
    """The folder if it is a workspace, else a temporary sample workspace."""
    if (folder / "config").is_dir():
        return folder
    temporary = tempfile.TemporaryDirectory(prefix="liftwright-")
    atexit.register(temporary.cleanup)
    root = Path(temporary.name) / "workspace"
    init_workspace(root)
    return root


@contextlib.contextmanager
def open_customers(
    customers: CustomersLike, workspace: str | Path | None
) -> Iterator[tuple[Tables, RunContext]]:
    """The table `customers`, read and validated as in a run."""
    with (
        contextlib.closing(open_session(workspace)) as context,
        open_tables(context.file_resolver) as tables,
    ):
        if isinstance(customers, str | Path):
            config = context.settings.customers.model_copy(
                update={"path": absolute_location(customers)}
            )
            load_customers(tables, config, context.root)
        else:
            read_customers(tables, customers)
        yield tables, context


def apply_segmentation(
    tables: Tables, context: RunContext, method: str | None
) -> segmenting.Segmentation:
    """Segment the customers; creates the table `segmented`."""
    config = context.settings.segments
    if method is not None:
        if method not in ("rules", "rfm", "kmeans"):
            raise InputError(f"method: found {method!r}, allowed: rules, rfm, kmeans")
        config = config.model_copy(update={"method": method})
    return segmenting.segment_customers(tables, config, seed=context.settings.experiment.seed)


def segment_of(context: RunContext, given: SegmentLike) -> Segment:
    """A segment from a label, a mapping, or a `Segment`."""
    if isinstance(given, Segment):
        return given
    if isinstance(given, Mapping):
        return to_segment(_with_defaults(given, context.settings.segments))
    context.load_customers()
    segments = apply_segmentation(context.tables, context, None).segments
    by_label = {segment.label: segment for segment in segments}
    if given not in by_label:
        hint = did_you_mean(given, list(by_label)) or f"; the segments are: {', '.join(by_label)}"
        raise InputError(f"segment {given!r}: no such segment{hint}")
    return by_label[given]


def _with_defaults(given: Row, segments: Segments) -> Row:
    """The mapping, with defaults from the segment of the same name in segments.yaml."""
    configured: list[SegmentRule | RfmBand] = [*segments.rules, *segments.rfm]
    for segment in configured:
        if segment.label == label_of(given):
            return {
                "description": segment.description,
                "audience": segment.audience,
                "interests": segment.interests,
                **given,
            }
    return given

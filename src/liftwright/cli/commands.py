"""The commands: parse arguments, call the workspace, print the result. No logic."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, ParamSpec

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from liftwright.campaign import Workspace
    from liftwright.errors import LiftwrightError

app = typer.Typer(
    name="liftwright",
    help="Personalised e-mail from approved content: cited, screened and measured.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Folder = Annotated[
    Path,
    typer.Option(
        "--workspace",
        envvar="LIFTWRIGHT_WORKSPACE",
        help="Workspace folder (default: the current folder).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RunId = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="Run id (default: the latest run).")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a configuration value. Repeatable."),
]
Customers = Annotated[
    str | None, typer.Option(metavar="PATH|URL", help="Customer list, CSV or Parquet.")
]
Content = Annotated[
    Path | None, typer.Option("--content", help="Folder or file of approved content.")
]
Alpha = Annotated[float, typer.Option(metavar="A", help="Significance level.")]
Correction = Annotated[
    str, typer.Option(metavar="holm|bh|none", help="Multiple-testing correction.")
]
HERE = Path()
P = ParamSpec("P")


def with_exit_status(command: Callable[P, int | None]) -> Callable[P, NoReturn]:
    """Make a command exit with its return value, or with the exit status of its error."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> NoReturn:
        from liftwright.errors import LiftwrightError

        try:
            status = command(*args, **kwargs) or 0
        except LiftwrightError as error:
            _show_error(error)
            status = error.exit_status
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 0
        except KeyboardInterrupt:
            typer.echo("liftwright: interrupted; run the command again to resume", err=True)
            status = 130
        raise typer.Exit(status)

    return wrapped


def _show_error(error: LiftwrightError) -> None:
    from liftwright.errors import InputError
    from liftwright.log import log_error, logs_to_stderr

    try:
        as_json = logs_to_stderr()
    except InputError:
        as_json = False
    if as_json:
        log_error(error)
    else:
        typer.echo(f"liftwright: {error}", err=True)


@app.callback(invoke_without_command=True)
def root(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Personalised e-mail from approved content: cited, screened and measured."""
    if version:
        from liftwright import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.command()
@with_exit_status
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", envvar="LIFTWRIGHT_WORKSPACE")],
    *,
    json: AsJson = False,
) -> None:
    """Create a workspace with configuration, prompts and sample data."""
    from liftwright.campaign import init_workspace
    from liftwright.cli.terminal import show_init

    show_init(folder, init_workspace(folder), json=json)


@app.command()
@with_exit_status
def run(  # noqa: PLR0913 - one parameter per option
    *,
    customers: Customers = None,
    content: Content = None,
    engagement: Annotated[
        str | None, typer.Option(metavar="PATH|URL", help="Real outcomes, CSV or Parquet.")
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(
            "--run-id", help="Run id, {date} is today's (default: derived from the inputs)."
        ),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="DATE", help="Reference date for customer features."),
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(
            metavar="USD", min=0, help="Budget of the run; the run stops before exceeding it."
        ),
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Call paid services again instead of reusing replies.")
    ] = False,
    extend: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Assign customers who joined after this finished run."),
    ] = None,
    overrides: Overrides = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> int:
    """Run the campaign from customers and content to the report. Run again to resume."""
    from liftwright.campaign import RunRequest, Workspace
    from liftwright.cli.terminal import Progress, show_run

    request = RunRequest(
        customers=customers,
        content=content,
        engagement=engagement,
        run_id=run_id,
        as_of=as_of,
        budget_usd=budget,
        refresh=refresh,
        extend=extend,
        overrides=tuple(overrides or ()),
    )
    with Progress(quiet=json) as progress:
        outcome = Workspace(workspace).run(request, notify=progress)
    show_run(outcome, json=json)
    return outcome.exit_status


@app.command()
@with_exit_status
def plan(  # noqa: PLR0913 - one parameter per option
    *,
    customers: Customers = None,
    content: Content = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="DATE", help="Reference date for customer features."),
    ] = None,
    overrides: Overrides = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Estimate calls, tokens, cost, power and the smallest detectable lift before a run."""
    from liftwright.campaign import RunRequest, Workspace
    from liftwright.cli.terminal import show_plan

    request = RunRequest(
        customers=customers, content=content, as_of=as_of, overrides=tuple(overrides or ())
    )
    show_plan(Workspace(workspace).plan(request), json=json)


@app.command()
@with_exit_status
def status(run: RunId = None, *, workspace: Folder = HERE, json: AsJson = False) -> None:
    """Show a run's progress and results."""
    from liftwright.cli.terminal import show_status

    opened = _open(workspace)
    show_status(opened.status(run), opened.folder(run), json=json)


@app.command()
@with_exit_status
def runs(*, workspace: Folder = HERE, json: AsJson = False) -> None:
    """List the runs of the workspace."""
    from liftwright.cli.terminal import show_runs

    show_runs(_open(workspace).runs(), json=json)


@app.command()
@with_exit_status
def report(
    run: RunId = None,
    *,
    form: Annotated[
        str | None, typer.Option("--format", metavar="ipynb|pdf", help="Write only this format.")
    ] = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Rebuild a run's report as a notebook and a PDF."""
    from liftwright.cli.terminal import show_files

    show_files(_open(workspace).report(run, form=form), json=json)


@app.command()
@with_exit_status
def verify(run: RunId = None, *, workspace: Folder = HERE, json: AsJson = False) -> int:
    """Verify the audit log's hash chain and compare it with the runs. Exit 4 if altered."""
    from liftwright.cli.terminal import show_verification

    verification = _open(workspace).verify(run)
    show_verification(verification, json=json)
    return 0 if verification.ok else 4


@app.command()
@with_exit_status
def doctor(
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Call each configured service once.")
    ] = False,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> int:
    """Check the installation, the configuration and the adapters. Exit 1 if a check fails."""
    from liftwright.cli.terminal import show_checks

    checks = _open(workspace).doctor(live=live)
    show_checks(checks, json=json)
    return 0 if all(check.ok for check in checks) else 1


@app.command()
@with_exit_status
def health(
    *,
    max_age_hours: Annotated[
        float | None,
        typer.Option(
            "--max-age-hours",
            envvar="LIFTWRIGHT_HEALTH_MAX_AGE_HOURS",
            metavar="HOURS",
            min=0,
            help="Maximum age of the last good run (default: any, or none).",
        ),
    ] = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> int:
    """Check configuration, store, audit log and the last good run. Exit 1 if one fails."""
    from liftwright.cli.terminal import show_health

    found = _open(workspace).health(max_age_hours=max_age_hours)
    show_health(found, json=json)
    return 0 if found.ok else 1


@app.command()
@with_exit_status
def index(
    *,
    content: Content = None,
    remove_old: Annotated[
        bool, typer.Option("--remove-old", help="Delete indexes of earlier content.")
    ] = False,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Index the approved content. Unchanged documents are skipped."""
    from liftwright.cli.terminal import Progress, show_index

    with Progress(quiet=json) as progress:
        result = _open(workspace).index(content, remove_old=remove_old, notify=progress)
    show_index(result, json=json)


@app.command()
@with_exit_status
def search(  # noqa: PLR0913 - one parameter per option
    text: Annotated[str | None, typer.Argument(help="Search text.")] = None,
    *,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="Queries, one {id, text} per line.")
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", min=1, help="Maximum number of documents.")] = 5,
    min_score: Annotated[
        float, typer.Option("--min-score", min=0, max=1, help="Minimum relevance.")
    ] = 0.0,
    content: Content = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Search the approved content; one passage per document."""
    from liftwright.cli.terminal import show_passages, show_search_lines
    from liftwright.errors import InputError

    opened = _open(workspace)
    if (text is None) == (queries is None):
        raise InputError("search: give either TEXT or --queries FILE.jsonl")
    if queries is not None:
        show_search_lines(opened.search_many(queries, top_k, min_score, content))
    else:
        show_passages(opened.search(str(text), top_k, min_score, content), json=json)


@app.command()
@with_exit_status
def screen(
    source: Annotated[str, typer.Argument(metavar="FILE.jsonl|TEXT")],
    *,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> int:
    """Screen text for hate, violence, self-harm and sexual content. Exit 1 if blocked."""
    from liftwright.cli.terminal import show_screened

    return show_screened(_open(workspace).screen(source), json=json)


@app.command()
@with_exit_status
def ground(
    source: Annotated[Path, typer.Argument(metavar="FILE.jsonl")],
    *,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> int:
    """Check each claim of a text against its sources. Exit 1 if one is unsupported."""
    from liftwright.cli.terminal import show_grounded

    return show_grounded(_open(workspace).ground(source), json=json)


@app.command()
@with_exit_status
def analyze(  # noqa: PLR0913 - one parameter per option
    file: Annotated[str, typer.Argument(metavar="FILE|URL")],
    *,
    arm: Annotated[str, typer.Option(metavar="COL", help="Column with the arm.")],
    control: Annotated[str, typer.Option(metavar="NAME", help="Name of the control arm.")],
    metric: Annotated[
        list[str],
        typer.Option(metavar="NAME[:KIND]", help="Metric; the first is primary. Repeatable."),
    ],
    unit: Annotated[
        str | None, typer.Option(metavar="COL", help="Column with the unit (user, customer).")
    ] = None,
    segment: Annotated[
        str | None, typer.Option(metavar="COL", help="Column with the segment.")
    ] = None,
    count: Annotated[
        str | None, typer.Option(metavar="COL", help="Column with the number of units per row.")
    ] = None,
    covariate: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC=COL", help="Pre-experiment covariate: adds CUPED estimates."),
    ] = None,
    covariate_time: Annotated[
        str | None, typer.Option(metavar="COL", help="Column: when covariates were measured.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="COL", help="Column: when the unit was assigned.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(metavar="COL", help="Column: one experiment per value.")
    ] = None,
    exposed: Annotated[
        str | None, typer.Option(metavar="COL", help="Column: whether the unit was exposed.")
    ] = None,
    share: Annotated[
        list[str] | None, typer.Option(metavar="ARM=S", help="Planned share of an arm. Repeatable.")
    ] = None,
    share_by: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV of segment, arm, share: planned shares that differ by segment.",
        ),
    ] = None,
    alpha: Alpha = 0.05,
    correction: Correction = "holm",
    guardrail: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC[:MARGIN]",
            help="Metric that must not get worse, or by less than the margin. Repeatable.",
        ),
    ] = None,
    lower: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC", help="Metric for which lower is better. Repeatable."),
    ] = None,
    stopping: Annotated[
        str,
        typer.Option(metavar="fixed|anytime", help="Decide at the planned sample, or at any look."),
    ] = "fixed",
    planned: Annotated[
        int | None, typer.Option(metavar="N", help="Planned number of units over all arms.")
    ] = None,
    minimum: Annotated[
        int,
        typer.Option(metavar="N", help="Planned number of units per arm."),
    ] = 0,
    multiple_exposure: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Largest share of units seen in two arms for naming a winner."
        ),
    ] = 0.01,
    bayes: Annotated[
        bool, typer.Option("--bayes", help="Add Bayesian results and shares for the next wave.")
    ] = False,
    explain: Annotated[
        list[str] | None,
        typer.Option(metavar="COL", help="Feature to test as an effect modifier. Repeatable."),
    ] = None,
    forest: Annotated[
        bool, typer.Option("--forest", help="Add an exploratory uplift forest of the features.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Analyze any experiment's results, CSV or Parquet: lift, intervals, tests, verdicts.

    A metric is a column (NAME, NAME:binary or NAME:mean) or a ratio of two sums (NAME=A/B:ratio).
    For aggregated rows: NAME=EVENTS/UNITS:binary, or NAME=MEAN,SD:mean with --count.
    """
    from liftwright.campaign import AnalyzeRequest, analyze_file
    from liftwright.cli.terminal import show_analysis

    request = AnalyzeRequest(
        file=file,
        arm=arm,
        control=control,
        metrics=tuple(metric),
        unit=unit,
        segment=segment,
        count=count,
        covariates=tuple(covariate or ()),
        shares=tuple(share or ()),
        alpha=alpha,
        correction=correction,
        exposed=exposed,
        time=time,
        covariate_time=covariate_time,
        guardrails=tuple(guardrail or ()),
        lower=tuple(lower or ()),
        share_by=share_by,
        stopping=stopping,
        planned=planned,
        minimum=minimum,
        multiple_exposure=multiple_exposure,
        bayes=bayes,
        explain=tuple(explain or ()),
        forest=forest,
        by=by,
    )
    show_analysis(analyze_file(request), json=json, lower=request.lower)


@app.command()
@with_exit_status
def power(  # noqa: PLR0913 - one parameter per option
    *,
    baseline: Annotated[
        float, typer.Option(metavar="R", help="Rate of the control, such as 0.05.")
    ],
    lift: Annotated[
        float | None, typer.Option(metavar="L", help="Relative lift to detect, such as 0.1.")
    ] = None,
    n: Annotated[int | None, typer.Option("--n", metavar="N", help="Units per arm.")] = None,
    arms: Annotated[int, typer.Option(metavar="K", help="Arms, with the control.")] = 2,
    probability: Annotated[
        float, typer.Option("--power", metavar="P", help="Probability of detecting the lift.")
    ] = 0.8,
    alpha: Alpha = 0.05,
    correction: Correction = "holm",
    json: AsJson = False,
) -> None:
    """Compute the units per arm for a lift, or the smallest detectable lift for --n units."""
    from liftwright.analysis import plan_rates
    from liftwright.cli.terminal import show_power

    plan = plan_rates(
        baseline,
        lift=lift,
        n=n,
        arms=arms,
        power=probability,
        alpha=alpha,
        correction=correction,
    )
    show_power(plan, json=json)


@app.command("import")
@with_exit_status
def import_file(  # noqa: PLR0913 - one parameter per option
    file: Annotated[str, typer.Argument(metavar="FILE|URL")],
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Replace config/customers.yaml with the proposal.")
    ] = False,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Encoding (default: detected).")
    ] = None,
    sheet: Annotated[
        str | None, typer.Option(metavar="NAME", help="Sheet of a spreadsheet with several.")
    ] = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Look at a customer export and propose the customers.yaml that reads it."""
    from liftwright.campaign.import_customers import file_options, import_customers
    from liftwright.cli.terminal import show_import

    options = file_options(encoding, sheet)
    show_import(import_customers(workspace, file, options, write=write), json=json)


@app.command("eval")
@with_exit_status
def evaluate(
    what: Annotated[str, typer.Argument(metavar="safety|retrieval|grounding")],
    *,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Folder of labelled cases.")],
    floor: Annotated[
        float | None, typer.Option(metavar="F", help="Minimum acceptable score.")
    ] = None,
    workspace: Folder = HERE,
    json: AsJson = False,
) -> int:
    """Evaluate screening, retrieval or grounding on labelled cases. Exit 1 below the floor."""
    from liftwright.campaign.evaluate import EvaluationRequest
    from liftwright.campaign.evaluate import evaluate as measure
    from liftwright.cli.terminal import Progress, show_evaluation

    request = EvaluationRequest(what=what, data=data, floor=floor)
    with Progress(quiet=json) as progress:
        evaluation = measure(workspace, request, notify=progress)
    show_evaluation(evaluation, json=json)
    return 0 if evaluation.ok else 1


@app.command()
@with_exit_status
def approve(
    run: Annotated[str, typer.Argument(metavar="RUN")],
    variant: Annotated[str, typer.Argument(metavar="VARIANT")],
    *,
    who: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Name of the approver, for the audit log.")
    ] = "",
    workspace: Folder = HERE,
    json: AsJson = False,
) -> None:
    """Approve a variant that is waiting for review; then run again."""
    from liftwright.cli.terminal import show_approval

    name = who or os.environ.get("USER", "")
    show_approval(_open(workspace).approve(run, variant, name), json=json)


def _open(folder: Path) -> Workspace:
    from liftwright.campaign import Workspace

    return Workspace(folder)


def main() -> None:
    """Run the command line."""
    app()

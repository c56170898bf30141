"""Exit statuses, and errors as one line on stderr."""

from __future__ import annotations

import functools
import os
import sys
from typing import TYPE_CHECKING, NoReturn, ParamSpec

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")


def with_exit_status(command: Callable[P, int | None]) -> Callable[P, NoReturn]:
    """Make a command exit with the status it returns, or with that of its error."""

    @functools.wraps(command)
    def ended(*args: P.args, **kwargs: P.kwargs) -> NoReturn:
        from liftwright.errors import LiftwrightError

        try:
            status = command(*args, **kwargs) or 0
        except LiftwrightError as error:
            typer.echo(f"liftwright: {error}", err=True)
            status = error.exit_status
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            status = 0
        except KeyboardInterrupt:
            typer.echo("liftwright: interrupted; run the command again to resume", err=True)
            status = 130
        raise typer.Exit(status)

    return ended

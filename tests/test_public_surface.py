"""What others build on: the drawn tree of errors, their exit statuses, typed and importable."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

from liftwright import errors

NODE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?:\s+(?P<status>\d))?")
HEAVY = ("numpy", "scipy", "pandas", "onnxruntime", "duckdb", "sqlglot", "pydantic", "hypothesis")


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """Name -> (the class above it, the exit status that is drawn beside it)."""
    found: dict[str, tuple[str | None, int | None]] = {}
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines()[2:]:
        node = NODE.match(line)
        assert node, line
        depth, name = len(node["branch"]) // 4, node["name"]
        above[depth] = name
        status = int(node["status"]) if node["status"] else None
        found[name] = (above[depth - 1] if depth else None, status)
    return found


def real() -> dict[str, type[errors.LiftwrightError]]:
    return {
        name: kind
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, Exception) and kind.__module__ == errors.__name__
    }


def test_errors_the_drawn_tree_names_every_class_and_no_other() -> None:
    assert set(drawn()) == set(real())
    assert len(drawn()) >= 10


@pytest.mark.parametrize("name", sorted(drawn()))
def test_errors_each_class_stands_where_it_is_drawn(name: str) -> None:
    parent, status = drawn()[name]
    kind = real()[name]
    (base,) = kind.__bases__
    assert base.__name__ == (parent or "Exception")
    if status is None:
        assert parent is not None
        assert kind.exit_status == real()[parent].exit_status
    else:
        assert kind.exit_status == status


@pytest.mark.parametrize(
    "module", ["errors", "model", "log", "calls.client", "calls.ledger", "model.run_files", "ports"]
)
def test_foundation_import_loads_no_heavy_package(module: str) -> None:
    code = f"import sys, liftwright.{module}; print([n for n in {HEAVY!r} if n in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stdout.strip() == "[]"

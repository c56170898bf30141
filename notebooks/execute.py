"""Executes the six notebooks of this folder in order and writes them as .ipynb files."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from liftwright.agents.reporting.notebook import as_text
from liftwright.errors import LiftwrightError
from liftwright.model.run_files import write_atomically

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbformat import NotebookNode

HERE = Path(__file__).parent
_CELL_SECONDS = 300
_MAX_SOCKET_FOLDER = 80  # the path of a Unix socket is limited to about a hundred characters


def main(folder: Path = HERE) -> int:
    """Execute every notebook; one is written only if all of its cells ran.

    Returns:
        0 if all ran, 1 if any failed.
    """
    failed = []
    for source in sorted(folder.glob("[0-9][0-9]_*.py")):
        started = time.perf_counter()
        notebook = notebook_of(source.read_text(encoding="utf-8"))
        try:
            execute(notebook, folder)
        except LiftwrightError as error:
            failed.append(source.name)
            print(f"{source.name}: FAILED: {error}", file=sys.stderr)
            continue
        target = source.with_suffix(".ipynb")
        write_atomically(target, as_text(notebook).encode())
        print(f"{target.name}: {time.perf_counter() - started:.1f} s")
    print(f"{len(failed)} failed" if failed else "all notebooks ran")
    return 1 if failed else 0


def notebook_of(text: str) -> NotebookNode:
    """A notebook from jupytext's percent format; equal text gives equal cell ids."""
    import jupytext

    notebook: NotebookNode = jupytext.reads(text, fmt="py:percent")
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03d}"
    notebook.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run a notebook's cells in `folder` with this interpreter and store their outputs.

    No installed kernel is needed, and nothing is written outside a temporary folder.

    Raises:
        LiftwrightError: a cell failed or timed out.
    """
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class ThisInterpreter(KernelSpecManager):
        """Provides the running interpreter as the only kernel."""

        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            """The same kernel for any name."""
            launch = ["-Xfrozen_modules=off", "-m", "ipykernel_launcher"]
            return KernelSpec(
                argv=[
                    sys.executable,
                    *launch,
                    "-f",
                    "{connection_file}",
                    "--HistoryManager.enabled=False",
                ],
                display_name=kernel_name,
                language="python",
            )

    with tempfile.TemporaryDirectory(prefix="lw-") as temporary:
        client = NotebookClient(
            notebook,
            km=_manager(AsyncKernelManager, ThisInterpreter(), Path(temporary)),
            timeout=_CELL_SECONDS,
            resources={"metadata": {"path": str(folder)}},
            record_timing=False,
        )
        client.owns_km = True  # shuts the kernel down at the end
        try:
            client.execute(env=_environment(Path(temporary)))
        except CellExecutionError as error:
            raise LiftwrightError(
                f"notebook: a cell failed ({error.ename}: {error.evalue})"
            ) from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise LiftwrightError(f"notebook: {type(error).__name__}: {error}") from None
    notebook.metadata.pop("widgets", None)


def _manager(
    kind: type[AsyncKernelManager], specs: KernelSpecManager, temporary: Path
) -> AsyncKernelManager:
    """A kernel manager that keeps its files in a temporary folder and opens no network port."""
    manager = kind(kernel_spec_manager=specs, kernel_name="python3")
    manager.connection_file = str(temporary / "kernel.json")
    if sys.platform != "win32" and len(str(temporary)) < _MAX_SOCKET_FOLDER:
        manager.transport = "ipc"
        manager.ip = str(temporary / "k")
    return manager


def _environment(temporary: Path) -> dict[str, str]:
    folders = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    return {
        **os.environ,
        **{name: str(temporary / name.lower()) for name in folders},
        # The cells import the same modules as this process, installed or not.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }


if __name__ == "__main__":
    sys.exit(main())

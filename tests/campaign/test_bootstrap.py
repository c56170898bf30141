from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from liftwright.campaign.bootstrap import workspace_lock
from liftwright.errors import InputError, WorkspaceBusy
from waiting import PATIENCE_SECONDS

# ── locked ────────────────────────────────────────────────────────────────────────────────────

HOLD = (
    "import sys, time; from pathlib import Path\n"
    "from liftwright.campaign.bootstrap import workspace_lock\n"
    "with workspace_lock(Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(120)"
)


def hold(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_workspace_lock_second_process_is_told_the_first_until_it_dies(
    end: signal.Signals, tmp_path: Path
) -> None:
    first = hold(tmp_path)
    try:
        refused = pytest.raises(WorkspaceBusy, match=rf"\(process {first.pid}\)")
        with refused as caught, workspace_lock(tmp_path):
            pytest.fail("two runs at once")
        assert caught.value.exit_status == 2
        assert str(tmp_path) in str(caught.value)
    finally:
        first.send_signal(end)
        first.wait(timeout=PATIENCE_SECONDS)
        if first.stdout is not None:
            first.stdout.close()
    with workspace_lock(tmp_path):
        text = (tmp_path / "data" / ".lock").read_text()
    assert text == f"process {os.getpid()}"


def test_workspace_lock_second_thread_is_refused_too(tmp_path: Path) -> None:
    refused: list[str] = []

    def work() -> None:
        try:
            with workspace_lock(tmp_path):
                refused.append("not refused")
        except WorkspaceBusy as error:
            refused.append(str(error))

    with workspace_lock(tmp_path):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(timeout=PATIENCE_SECONDS)
    assert len(refused) == 1
    assert f"process {os.getpid()}" in refused[0]


def test_workspace_lock_leaves_no_file_open_when_refused(tmp_path: Path) -> None:
    with workspace_lock(tmp_path):
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            with pytest.raises(WorkspaceBusy), workspace_lock(tmp_path):
                pytest.fail("two runs at once")
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_workspace_lock_workspace_that_cannot_be_written_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file stands where the folder should be")
    with pytest.raises(InputError), workspace_lock(tmp_path):
        pytest.fail("locked what cannot be")

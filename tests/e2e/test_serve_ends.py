"""What is left when `adw serve` ends, and what its database forgets."""

import signal
import sqlite3
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import STUBBORN, Adw, ask, configure, hand_over, read, serve, until

pytestmark = pytest.mark.usefixtures("untraced")


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.thorough), signal.SIGKILL])
def test_when_serving_ends_its_runs_end_with_it_and_can_be_resumed(deployed: Adw, tmp_path: Path, number: int) -> None:
    serving = serve(deployed.home, tmp_path / "serve.log")
    configure(deployed, STUBBORN)
    deployed.issue("a")
    hand_over(deployed)
    until(lambda: deployed.leased("sleep"))
    worker = serving.worker()
    children = [worker, *worker.children()]
    serving.process.send_signal(number)
    assert serving.process.wait(60) == (-9 if number == signal.SIGKILL else 0), serving.log.read_text()
    psutil.wait_procs(children, timeout=60)
    assert not [child for child in children if child.is_running()]
    until(lambda: not deployed.leased())
    configure(deployed)
    resumed = deployed.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    deployed.assert_whole("a")


@pytest.mark.thorough
def test_old_runs_leave_the_database(deployed: Adw) -> None:
    deployed.issue("a")
    assert deployed.call("run", str(deployed.issues)).returncode == 0
    run = next(e["flow_run"] for e in deployed.events() if e["event"] == "flow started")
    assert deployed.call("clean", "--server").returncode == 0
    with sqlite3.connect(deployed.home / "prefect" / "prefect.db") as database:
        database.execute("update flow_run set end_time = '2020-01-01 00:00:00.000000' where id = ?", [run])
    assert deployed.call("deploy").returncode == 0  # starts the server
    until(lambda: read(deployed.home, f"flow_runs/{run}") is None)
    assert ask(deployed.home, "artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}}) == []

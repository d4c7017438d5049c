import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Adw, Serving, ask, configure, ended, let_in, read, until

pytestmark = pytest.mark.usefixtures("untraced")

EXAMPLE = Path("docs/own-flow/best_of_two.py").absolute()
AGENTS = {
    "long": "sleep 1; seq 30 > hello.txt",
    "short": "sleep 1; echo hello > hello.txt",
    "broken": "rm code.txt",  # which the test wants
    "idle": "true",
}


def deploy(adw: Adw, folder: Path, *agents: str) -> str:
    """What docs/own-flow.md says, in a repository of the user's own; returns the run's id."""
    folder.mkdir()
    shutil.copy(EXAMPLE, folder)
    commands = [f'[ "$ADW_PHASE" != build ] || {{ {AGENTS[name]}; }}' for name in agents]
    delivery = {"repository": str(adw.repository.path), "sources": [str(adw.issues)]}
    prefect = Path(sys.executable).with_name("prefect")
    env = {**adw.environment(), **let_in(adw.home), "PREFECT_HOME": str(folder / "prefect"), "NO_COLOR": "1"}
    name = folder.name
    parameters = [f"--param=delivery={json.dumps(delivery)}", f"--param=agents={json.dumps(commands)}"]
    words = [str(prefect), "--no-prompt", "deploy", "./best_of_two.py:best_of_two", "--name", name, "--pool", "adw", *parameters]
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    words = [str(prefect), "deployment", "run", f"best of two/{name}"]
    subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=True)
    deployment = read(adw.home, f"deployments/name/best%20of%20two/{name}")["id"]
    request = {"deployments": {"id": {"any_": [deployment]}}}
    return str(until(lambda: ask(adw.home, "flow_runs/filter", **request))[0]["id"])


def test_of_two_agents_the_one_whose_change_is_fit_and_smaller_lands(adw: Adw, serving: Serving, tmp_path: Path) -> None:
    assert serving.process.poll() is None
    configure(adw)
    adw.issue("a")
    run = deploy(adw, tmp_path / "mine-1", "long", "short")
    assert ended(adw, run)["type"] == "COMPLETED"
    adw.assert_whole("a")
    assert (adw.repository.path / "hello.txt").read_text() == "hello\n"
    builds = [e for e in adw.events() if e["event"] == "phase" and e["phase"] == "build" and e["state"] == "running"]
    assert sorted(e["try"] for e in builds) == [1, 2]
    assert builds[1]["timestamp"] < next(e["timestamp"] for e in adw.events() if e["event"] == "phase" and e["phase"] == "build" and e["state"] == "done")
    assert adw.events()[-1]["event"] == "run ended"
    assert "landed" in adw.call("status").stdout


@pytest.mark.thorough
def test_an_agent_that_fails_or_breaks_the_tests_loses_and_if_all_do_nothing_lands(adw: Adw, serving: Serving, tmp_path: Path) -> None:
    assert serving.process.poll() is None
    configure(adw)
    adw.issue("a")
    assert ended(adw, deploy(adw, tmp_path / "mine-2", "broken", "idle"))["type"] == "COMPLETED"
    adw.assert_whole()
    assert next(e for e in adw.events() if e["event"] == "outcome")["state"] == "refused"
    assert ended(adw, deploy(adw, tmp_path / "mine-3", "broken", "long"))["type"] == "COMPLETED"
    adw.assert_whole("a")
    assert (adw.repository.path / "hello.txt").read_text().startswith("1\n2\n")

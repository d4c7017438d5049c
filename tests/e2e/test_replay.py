"""What releases of real packages changed, delivered as issues: the data sets and their agent lie beside the checkout, if anywhere."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Repository
from tests.e2e.conftest import Adw

REPLAY = Path(__file__).parents[3] / "shared" / "replay"
AGENTS = os.environ.get("ADW_REPLAY_AGENTS", "5").split(",")  # `make replay` tries more
WITH_PIP = str(Path(sys.base_prefix, "bin", "python3"))  # the environment of the tests has none, and the data sets are fetched with it

pytestmark = [
    pytest.mark.usefixtures("untraced"),
    pytest.mark.skipif(not REPLAY.is_dir(), reason=f"there are no replay data sets in {REPLAY.parent.name}/{REPLAY.name} beside the checkout"),
    pytest.mark.timeout(1800),  # the longest runs of all, with other tests beside them
]


@pytest.mark.parametrize("agents", AGENTS)
@pytest.mark.parametrize("name", ["cachetools", pytest.param("boltons", marks=pytest.mark.thorough)])
def test_real_changes_are_delivered_to_the_tree_that_the_data_set_names(server_home: Path, tmp_path: Path, name: str, agents: str) -> None:
    folder = tmp_path / name
    subprocess.run([WITH_PIP, str(REPLAY / "prepare.py"), name, str(folder)], check=True, timeout=120)
    adw = Adw(server_home, Repository(folder / "hub"), folder / "issues")
    test = shlex.join(sys.executable if word == "python" else word for word in json.loads((folder / "data.json").read_text())["test"])
    agent = shlex.join([sys.executable, str(REPLAY / "agent.py"), str(folder), "--prompt"]) + " {prompt_file}"
    process = adw.start("run", str(folder / "issues"), "--agents", agents, "--agent-command", agent, "--test-command", test, "--sandbox", "off")
    out, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, out
    checked = subprocess.run(
        [sys.executable, str(REPLAY / "check.py"), str(folder), "--every", "--python", sys.executable], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout

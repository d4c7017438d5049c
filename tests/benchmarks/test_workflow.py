import json
import os
import subprocess
import sys
from pathlib import Path

from adw.config import parse
from benchmarks.levels import tables
from benchmarks.workflow import Switches, Workflow

RUN = """
from pathlib import Path
import sys
from adw.skills import registry
print(sorted(name for name in registry.known() if name.startswith("bench_")), registry.broken())
"""


def test_switches_are_settings_of_adw(tmp_path: Path) -> None:
    full, none = (Workflow.of(switches, 6.0) for switches in (Switches(slots=5, known=True), Switches(skills=False, pieces=False)))
    ours, theirs = (parse(workflow.config(tmp_path, 5), "adw.toml") for workflow in (full, none))
    assert (ours.skills.limit, ours.build.parallel, ours.memory.mode, len(ours.test.groups)) == (16, True, "lexical", 11)
    assert (theirs.skills.limit, theirs.build.parallel, theirs.memory.mode, len(theirs.test.groups)) == (1, False, "off", 0)
    assert [len(ours.skills.at(phase)) for phase in ("plan", "build", "review")] == [4, 8, 6]


def test_the_skills_come_as_a_plug_in_that_any_process_finds_on_its_path(tmp_path: Path) -> None:
    Workflow.of(Switches(), 6.0).lay_out(tmp_path, 1)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "plugin")}
    said = subprocess.run([sys.executable, "-P", "-c", RUN], env=env, capture_output=True, text=True, check=True).stdout
    assert said.count("bench_") == 18
    assert said.endswith("{}\n")


def test_all_that_a_script_waits_for_is_what_the_phases_take() -> None:
    switches = Switches(document=True)
    whole, agents = (Workflow.of(switches, 60.0).script(whole=whole)["feature-01"] for whole in (True, False))
    assert [whole[phase][0]["seconds"] for phase in ("plan", "build", "review", "document")] == [180, 420, 180, 120]
    assert [agents[phase][0]["seconds"] for phase in ("plan", "build", "review", "document")] == [120, 220, 90, 120]
    assert sum(agents[f"build-{number}"][0]["seconds"] for number in range(1, 6)) + agents["build-integrate"][0]["seconds"] == 220


def test_features_that_ask_for_the_same_say_the_same() -> None:
    issues = Workflow.of(Switches(features=4, same=2), 6.0).issues
    assert [issue.title == issues[0].title for issue in issues] == [True, True, False, False]


def test_every_level_can_be_laid_out(tmp_path: Path) -> None:
    for name, table in tables().items():
        for number, level in enumerate(table.levels):
            folder = tmp_path / f"{name}-{number}"
            hub = level.workload(6.0).lay_out(folder, level.switches.slots)
            assert parse((hub / "adw.toml").read_text(), "adw.toml").pool.size == level.switches.slots
            assert json.loads((folder / "script.json").read_text())

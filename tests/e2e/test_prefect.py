import contextlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psutil
import pytest
import yaml

from tests.conftest import make_repository
from tests.e2e.conftest import Adw, active_slots, ask, configure, let_in, slug, until

TELLS = '[ "$ADW_PHASE" != build ] || echo "${TOKEN:-none}" | tr a-z A-Z > $ADW_ISSUE.txt'


def python(adw: Adw, program: str) -> str:
    """Run some Python against the session's Prefect server, as one does who automates it."""
    env = {**adw.environment(), **let_in(adw.home), "PREFECT_HOME": str(adw.home / "prefect")}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def slots(adw: Adw) -> int:
    return int(next(e["slots"] for e in adw.events() if e["event"] == "flow started"))


def test_a_block_that_was_edited_is_used_until_adw_toml_changes(adw: Adw) -> None:
    configure(adw, TELLS, "[pool]\nsize = 3\n")
    adw.issue("a")
    assert adw.call("run", str(adw.issues)).returncode == 0
    assert slots(adw) == 3
    name = slug(adw)
    edit = f"from flows.blocks import WorktreePool as W\nb = W.load({name!r})\nb.size = 2\nb.save({name!r}, overwrite=True)"
    python(adw, edit)
    adw.issue("b")
    assert adw.call("run", str(adw.issues)).returncode == 0
    assert slots(adw) == 2
    configure(adw, TELLS, "[pool]\nsize = 4\n")
    adw.issue("c")
    done = adw.call("run", str(adw.issues))
    assert "wrote the Block adw-worktree-pool/" in done.stdout
    assert slots(adw) == 4


def test_a_secret_reaches_the_agent_and_nothing_that_is_kept(adw: Adw) -> None:
    configure(adw, TELLS, '[agent.secrets]\nTOKEN = "a-token-of-the-tests"\n')
    adw.issue("a")
    adw.env["TOKEN"] = "quite-secret"
    assert adw.call("run", str(adw.issues)).returncode == 0
    del adw.env["TOKEN"]
    adw.issue("b")
    assert adw.call("run", str(adw.issues)).returncode == 0  # from the Block
    assert (adw.repository.path / "b.txt").read_text() == "QUITE-SECRET\n"
    run = next(e["flow_run"] for e in adw.events() if e["event"] == "flow started")
    told = json.dumps(ask(adw.home, "flow_runs/filter", flow_runs={"id": {"any_": [run]}})) + json.dumps(ask(adw.home, "logs/filter"))
    files = "".join(path.read_text(errors="replace") for folder in adw.runs for path in folder.rglob("*") if path.is_file())
    assert "quite-secret" not in told + files


def test_a_secret_that_is_nowhere_is_named(adw: Adw) -> None:
    configure(adw, TELLS, '[agent.secrets]\nTOKEN = "no-such-secret"\n')
    adw.issue("a")
    done = adw.call("run", str(adw.issues))
    assert done.returncode == 2, done.stdout
    assert "no Prefect Secret block 'no-such-secret'" in done.stdout
    assert "Traceback" not in done.stdout


def test_reports_are_artifacts_and_files(adw: Adw) -> None:
    adw.issue("a")
    assert adw.call(*adw.run_args()).returncode == 0
    run = next(e["flow_run"] for e in adw.events() if e["event"] == "flow started")
    artifacts = {a["key"]: a for a in ask(adw.home, "artifacts/filter", artifacts={"flow_run_id": {"any_": [run]}})}
    kinds = Counter(a["type"] for a in artifacts.values())
    logs = list((adw.runs[-1] / "logs").glob("a-*/*.log"))
    assert {log.stem for log in logs} >= {"1-plan", "1-build", "1-review", "1-document"}  # a test may have been run for another repository
    assert kinds == {"progress": 1, "table": 1, "markdown": 2 + len(logs)}  # the run, the issue, and each log
    progress = next(a for a in artifacts.values() if a["type"] == "progress")
    assert (progress["data"], progress["description"]) == (100.0, "1 of 1 issues ended")
    report = (adw.runs[-1] / "report.md").read_text()
    assert "1 landed" in report
    assert f"/artifacts/artifact/{next(a['id'] for a in artifacts.values() if a['description'] == 'Add a')}" in report
    of_issue = next((adw.runs[-1] / "reports").iterdir()).read_text()
    assert "diff --git a/a.txt b/a.txt" in of_issue
    assert "build of a" in next(adw.runs[-1].rglob("*-build.log")).read_text()
    flow_runs = ask(adw.home, "flow_runs/filter", flow_runs={"id": {"any_": [run]}})
    assert [r["name"] for r in flow_runs] == [f"{adw.repository.path.name}: 1 issue {adw.runs[-1].name}"]
    names = {r["name"] for r in ask(adw.home, "task_runs/filter", flow_runs={"id": {"any_": [run]}})}
    task_tags = {tag for r in ask(adw.home, "task_runs/filter", flow_runs={"id": {"any_": [run]}}) for tag in r["tags"]}
    assert {"issue:a", "phase:build", f"repository:{slug(adw)}"} <= task_tags
    assert {"plan: Add a", "build: Add a (try 1)", "test: Add a (try 1)", "review: Add a (try 1)", "document: Add a (try 1)", "land: Add a"} <= names


def test_reconcile_ends_a_run_that_was_killed_and_frees_what_it_held(adw: Adw) -> None:
    configure(adw, TELLS)
    adw.issue("a")
    process = adw.start("run", str(adw.issues), "--agent-command", "sleep 600")
    until(lambda: adw.leased("sleep"))
    flow = adw.flow()
    process.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        flow.kill()
    process.communicate()
    run = next(e["flow_run"] for e in adw.events() if e["event"] == "flow started")
    python(
        adw,
        "from pathlib import Path; from adw.mirror import find_hub; from adw.pool import Pool; from flows.maintain import reconcile; "
        f"hub = find_hub(Path({str(adw.repository.path)!r})); reconcile(Pool(hub, hub.config().pool))",
    )
    states = [r["state"]["type"] for r in ask(adw.home, "flow_runs/filter", flow_runs={"id": {"any_": [run]}})]
    states += [r["state"]["type"] for r in ask(adw.home, "task_runs/filter", flow_runs={"id": {"any_": [run]}})]
    assert not {"RUNNING", "PENDING", "SCHEDULED"} & set(states)
    until(lambda: active_slots(adw.home) == 0)
    assert not adw.leased()


def test_what_prefect_had_cached_for_another_repository_is_kept_in_git_too(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    other = Adw(adw.home, make_repository(tmp_path / "other"), adw.issues)
    for each in (adw, other):
        assert each.call(*adw.run_args()).returncode == 0
    assert other.phase("a", "plan", "cached")
    refs = [ref.split("/") for ref in other.repository.git("for-each-ref", "--format=%(refname)", "refs/adw").splitlines()]
    assert {phase for _, _, issue, phase, *_ in refs if issue.startswith("a-")} >= {"plan", "build", "test", "review", "document"}


def test_prune_removes_what_a_landed_issue_no_longer_needs(adw: Adw) -> None:
    configure(adw, TELLS)
    adw.issue("a")
    assert adw.call("run", str(adw.issues)).returncode == 0
    assert len(adw.repository.git("for-each-ref", "refs/adw").splitlines()) > 5
    assert adw.call("clean").returncode == 0
    left = adw.repository.git("for-each-ref", "--format=%(refname)", "refs/adw").splitlines()
    assert all("/landed" in ref for ref in left), left
    again = adw.call("run", str(adw.issues))
    assert again.returncode == 0
    assert "already landed" in again.stdout


@pytest.mark.parametrize("deployment", yaml.safe_load(Path("prefect.yaml").read_text())["deployments"], ids=lambda d: str(d["name"]))
def test_each_entry_point_of_prefect_yaml_is_a_flow(adw: Adw, deployment: dict[str, str]) -> None:
    load = f"from prefect.flows import load_flow_from_entrypoint as l; print(l({deployment['entrypoint']!r}, use_placeholder_flow=False).name)"
    env = {**adw.environment(), "PREFECT_HOME": str(adw.issues.parent / "prefect")}
    done = subprocess.run([sys.executable, "-c", load], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in {"deliver", "ad hoc"}

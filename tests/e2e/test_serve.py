"""What `adw serve` serves: schedules, hand-overs, the form, cancel and approval from afar, and what happens when a part of it dies."""

import json
import shutil
import urllib.error
from itertools import pairwise
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import STUBBORN, WRITES, Adw, Serving, active_slots, ask, configure, ended, hand_over, read, set_state, slug, until
from tests.hook import listening

pytestmark = pytest.mark.usefixtures("untraced")


def submit(adw: Adw, **order: Any) -> str:
    """What the form's button does; returns the run's id."""
    form = read(adw.home, "deployments/name/ad%20hoc/Deliver%20an%20issue")["id"]
    made = ask(adw.home, f"deployments/{form}/create_flow_run", parameters={"order": {"repository": str(adw.repository.path), **order}})
    return str(made["id"])


def refusal(adw: Adw, **order: Any) -> str:
    """What the server says to a form that it does not take."""
    with pytest.raises(urllib.error.HTTPError) as no:
        submit(adw, **order)
    assert no.value.code in {409, 422}
    return no.value.read().decode()


def test_a_run_that_was_handed_over_is_followed_to_its_end_from_anywhere_and_people_are_told(deployed: Adw, serving: Serving) -> None:
    assert serving.process.poll() is None
    deployed.issue("a")
    with listening() as hook:
        configure(deployed, more=f'[notify]\nurl = "{hook.url}"\n')
        run = hand_over(deployed)
        until(lambda: hook.taken)
    assert [(told["event"], told["text"]) for told in hook.taken] == [("ended", "1 landed")]
    followed = deployed.call("status", "--follow", "--repo", str(deployed.repository.path))
    assert followed.returncode == 0, followed.stdout
    assert "a: build: done" in followed.stdout
    assert "landed" in followed.stdout
    deployed.assert_whole("a")
    assert ended(deployed, run)["type"] == "COMPLETED"
    end = {"event": "run ended", "id": deployed.runs[-1].name, "state": "done", "reason": "", "timestamp": 0}
    assert [event | {"timestamp": 0} for event in deployed.events() if event["event"] == "run ended"] == [end]


def test_what_is_not_registered_is_not_handed_over_and_leaves_nothing(adw: Adw, serving: Serving) -> None:
    assert serving.process.poll() is None
    configure(adw)
    adw.issue("a")
    done = adw.call("run", str(adw.issues), "--detach")
    assert (done.returncode, "run `adw deploy` in it once" in done.stdout) == (2, True), done.stdout
    assert adw.runs == []


def test_a_schedule_delivers_what_its_folder_holds_and_an_edited_adw_toml_counts_without_registering(deployed: Adw, serving: Serving) -> None:
    for name in ("a", "b"):
        deployed.issue(name)
    shutil.copytree(deployed.issues, deployed.repository.path / "todo")
    configure(deployed, more='[schedule]\ncron = "0 2 * * *"\ntimezone = "Asia/Tokyo"\nissues = ["todo/[a]*.md"]\n')
    until(lambda: "next run" in serving.said(deployed.place.name) and "17:00 UTC" in serving.said(deployed.place.name))
    mine = read(deployed.home, f"deployments/name/deliver/{slug(deployed)}")
    run = ask(deployed.home, f"deployments/{mine['id']}/create_flow_run")  # as the scheduler does when it is time
    state = ended(deployed, run["id"])
    assert (state["type"], state["message"]) == ("COMPLETED", "1 landed")
    deployed.assert_whole("a")
    (deployed.repository.path / "adw.toml").write_text("[schedule]\ncron = 'x'\n")
    until(lambda: "✗ adw.toml: `schedule.cron`" in serving.said(deployed.place.name))
    deployed.repository.git("checkout", "adw.toml")
    away = deployed.repository.path.rename(deployed.repository.path.with_name("away"))
    until(lambda: "✗ there is no folder" in serving.said(deployed.place.name))
    state = ended(deployed, ask(deployed.home, f"deployments/{mine['id']}/create_flow_run")["id"])
    assert (state["type"], f"there is no folder {deployed.repository.path}" in state["message"]) == ("FAILED", True)
    assert "Traceback" not in state["message"]
    away.rename(deployed.repository.path)
    until(lambda: "next run" in serving.said(deployed.place.name))


def test_the_form_is_checked_before_anything_runs(deployed: Adw, serving: Serving) -> None:
    assert serving.process.poll() is None
    assert "is not one of" in refusal(deployed, repository="/etc")
    assert "is not one of" in refusal(deployed, issue="# x", agents=11)
    assert "is not one of" in refusal(deployed, issue="# x", agent="nobody")
    assert "Additional properties" in refusal(deployed, issue="# x", colour="red")
    runs = [submit(deployed), submit(deployed, issue="# x", files="todo"), submit(deployed, files="todo/*.md"), submit(deployed, issue="# x", branch="none")]
    said = [ended(deployed, run) for run in runs]
    assert [state["type"] for state in said] == ["FAILED"] * 4
    for state, named in zip(said, ["say what you want in Issue", "not both", "there is no issue at 'todo/*.md'", "has no branch 'none'"], strict=True):
        assert named in state["message"]
        assert "Traceback" not in state["message"]
    dry = submit(deployed, issue="# Say hello\n\nplease", dry_run=True)
    state = ended(deployed, dry)
    assert (state["type"], state["message"]) == ("COMPLETED", "1 to be delivered")
    assert read(deployed.home, f"flow_runs/{dry}")["name"] == f"{deployed.repository.path.name}: Say hello"
    assert deployed.repository.subjects == ["configure", "first"]


def test_one_run_of_a_repository_at_a_time_the_next_one_waits_or_is_skipped(deployed: Adw, serving: Serving) -> None:
    assert serving.process.poll() is None
    gate = deployed.issues.parent / "gate"
    configure(deployed, f'while [ "$ADW_PHASE" = plan ] && [ ! -e {gate} ]; do sleep 0.05; done' + WRITES)
    deployed.issue("a")
    first = hand_over(deployed)
    until(lambda: deployed.phase("a", "plan"))
    second, third = hand_over(deployed), submit(deployed, issue="# Say hello")
    until(lambda: read(deployed.home, f"flow_runs/{second}")["state"]["name"] == "AwaitingConcurrencySlot")
    until(lambda: read(deployed.home, f"flow_runs/{third}")["state"]["name"] == "Running")
    gate.touch()
    assert [ended(deployed, run)["type"] for run in (first, second, third)] == ["COMPLETED"] * 3
    begun = [json.loads(line)["timestamp"] for run in deployed.runs for line in (run / "events.jsonl").read_text().splitlines() if "process started" in line]
    over = [json.loads(line)["timestamp"] for run in deployed.runs for line in (run / "events.jsonl").read_text().splitlines() if "run ended" in line]
    spans = sorted(zip(begun, over, strict=True))
    assert all(end <= start for (_, end), (start, _) in pairwise(spans)), spans
    gate.unlink()
    configure(deployed, f'while [ "$ADW_PHASE" = plan ] && [ ! -e {gate} ]; do sleep 0.05; done # skip' + WRITES, '[schedule]\noverlap = "skip"\n')
    assert "wrote the deployment deliver/" in deployed.call("deploy").stdout + serving.log.read_text()
    deployed.issue("b")
    first = hand_over(deployed)
    until(lambda: deployed.phase("b", "plan"))
    skipped = [hand_over(deployed), submit(deployed, issue="# Say goodbye")]
    assert [ended(deployed, run)["type"] for run in skipped] == ["CANCELLED"] * 2
    assert "cancelled" in deployed.call("status").stdout
    gate.touch()
    assert ended(deployed, first)["type"] == "COMPLETED"


@pytest.mark.parametrize("started", ["detached", pytest.param("here", marks=pytest.mark.thorough)])
def test_cancelling_in_the_ui_kills_agents_and_frees_what_the_run_held(deployed: Adw, serving: Serving, started: str) -> None:
    assert serving.process.poll() is None
    configure(deployed, STUBBORN)
    deployed.issue("a")
    process = None if started == "detached" else deployed.start("run", str(deployed.issues))
    if started == "detached":
        hand_over(deployed)
    until(lambda: deployed.leased("sleep"))
    run = next(e["flow_run"] for e in deployed.events() if e["event"] == "flow started")
    set_state(deployed.home, run, "CANCELLING")
    assert ended(deployed, run)["type"] == "CANCELLED"
    until(lambda: not deployed.leased())
    if process:
        process.communicate(timeout=60)
        assert process.returncode == 130
    until(lambda: active_slots(deployed.home) == 0)
    assert until(lambda: [e for e in deployed.events() if e["event"] == "run ended"])[-1]["state"] == "interrupted"
    configure(deployed)
    resumed = deployed.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    deployed.assert_whole("a")


def test_what_a_person_does_not_approve_goes_back_to_build_with_the_reason_and_others_go_on_meanwhile(deployed: Adw, serving: Serving) -> None:
    assert serving.process.poll() is None
    configure(deployed, top='approve = ["landing"]\n')
    deployed.issue("a")
    deployed.issue("b")
    run = hand_over(deployed)

    def answer(number: int, **values: Any) -> None:
        until(lambda: len([e for e in deployed.events() if e["event"] == "approval" and e["state"] == "wanted"]) > number)
        until(lambda: read(deployed.home, f"flow_runs/{run}")["state"]["type"] == "PAUSED")
        until(lambda: ask(deployed.home, f"flow_runs/{run}/resume", run_input=values)["status"] == "ACCEPT")  # the form comes a moment after the pause
        until(lambda: len([e for e in deployed.events() if e["event"] == "approval" and e["state"] != "wanted"]) > number)

    until(lambda: read(deployed.home, f"flow_runs/{run}")["state"]["type"] == "PAUSED")
    until(lambda: deployed.phase("a", "review", "done") and deployed.phase("b", "review", "done"))  # while it was paused
    answer(0, approve=False, feedback="say it louder")
    answer(1, approve=True)
    answer(2, approve=True)
    assert ended(deployed, run)["message"] == "2 landed"
    deployed.assert_whole("a", "b")
    tries = [e for e in deployed.events() if e["event"] == "phase" and e["phase"] == "build" and e["try"] == 2]
    assert len({e["issue"] for e in tries}) == 1
    ref = deployed.repository.git("for-each-ref", "--format=%(refname)", "refs/adw/*/try/2")
    assert "say it louder" in deployed.repository.git("log", "-1", "--format=%B", ref)


def test_parts_that_die_are_started_again_and_runs_go_on(deployed: Adw, serving: Serving) -> None:
    deployed.issue("a")
    first = serving.worker()
    first.kill()
    until(lambda: serving.worker().pid != first.pid)
    keeper = psutil.Process(json.loads((deployed.home / "prefect" / "server.json").read_text())["pid"])
    for child in keeper.children(recursive=True):
        child.kill()
    keeper.kill()
    until(lambda: "died" in serving.log.read_text())
    until(lambda: serving.said("server").startswith("http"))
    until(lambda: serving.said("worker") == "waits for runs")
    run = hand_over(deployed)
    assert ended(deployed, run)["type"] == "COMPLETED"
    deployed.assert_whole("a")

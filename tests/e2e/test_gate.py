"""Who takes the next slot, in whole runs."""

import pytest

from tests.e2e.conftest import Adw, ask, until
from tests.e2e.test_crashes import kill_all

pytestmark = pytest.mark.usefixtures("untraced")


def test_an_urgent_issue_that_is_added_takes_the_next_slot_and_is_there_after_a_kill(adw: Adw) -> None:
    adw.issue("a")
    adw.issue("b")
    order, go = adw.issues.parent / "order", adw.issues.parent / "go"
    agent = f"""
    echo "$ADW_PHASE-$ADW_ISSUE" >> {order}
    until [ -e {go} ]; do sleep 0.05; done
    [ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"
    """
    assert "`adw run ISSUE…` begins one" in adw.call("add", "-").stdout
    process = adw.start(*adw.run_args(agent), "--agents", "1")
    until(lambda: adw.leased("sleep"))
    adw.issues = adw.issues.parent / "more"
    for name, front in {"hot": {"priority": "urgent"}, "lost": {"depends_on": "nothing"}, "other": {"id": "a"}}.items():
        adw.issue(name, **front)
    assert adw.call("add", str(adw.issues / "hot.md")).stdout.endswith(": hot\n")
    refused = [adw.call("add", str(adw.issues / f"{name}.md")) for name in ("lost", "other")]
    assert [each.returncode for each in refused] == [2, 2]
    assert ["depends on 'nothing'" in refused[0].stdout, "another text" in refused[1].stdout] == [True, True]
    go.touch()
    until(lambda: adw.phase("hot", "build"))
    first, second = order.read_text().split()[:2]
    assert (first in {"plan-a", "plan-b"}, second) == (True, "plan-hot")
    kill_all(adw, process)
    resumed = adw.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    adw.assert_whole("a", "b", "hot")


def test_a_test_that_nobody_wants_any_more_is_ended_and_prefect_has_it_as_cancelled(adw: Adw) -> None:
    adw.issue("a", priority="1")
    adw.issue("b")
    go = adw.issues.parent / "go"
    agent = f"""
    [ "$ADW_PHASE-$ADW_ISSUE" != build-b ] || until [ -e {go}-a ]; do sleep 0.05; done
    [ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"
    [ "$ADW_PHASE-$ADW_ISSUE-$ADW_TRY" != review-a-1 ] || {{ touch {go}-a; until [ -e {go}-b ]; do sleep 0.05; done; exit 1; }}
    """
    process = adw.start(*adw.run_args(agent, f"[ ! -e a.txt ] || {{ [ ! -e b.txt ] || touch {go}-b; until [ -e {go} ]; do sleep 0.05; done; }}"))
    until(lambda: adw.phase("b", "test", "cut"))
    until(lambda: adw.phase("b", "land", "done"))
    go.touch()
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    adw.assert_whole("a", "b")
    run = next(e["flow_run"] for e in adw.events() if e["event"] == "flow started")

    def in_state(*states: str) -> list[str]:
        found = ask(adw.home, "task_runs/filter", flow_runs={"id": {"any_": [run]}})
        return [task["name"] for task in found if task["state"]["type"] in states]

    assert in_state("CANCELLED") == ["test: Add b (try 1)"]
    until(lambda: not in_state("PENDING", "RUNNING"))  # the server takes up last what it was told last
    assert not in_state("FAILED", "CRASHED")

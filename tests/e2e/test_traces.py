"""From a line of a log to the transcript, the task run, the commit, and back."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.adw.tools import until
from tests.e2e.conftest import Adw, ask, slug
from tests.hook import listening

pytestmark = pytest.mark.usefixtures("untraced")


def traced(adw: Adw, name: str) -> dict[str, dict[str, Any]]:
    """What `adw show --trace` knows by a name, by phase."""
    done = adw.call("show", "--trace", name, "--json")
    assert done.returncode == 0, done.stdout
    return {piece["phase"]: piece for piece in json.loads(done.stdout)}


def test_from_a_line_of_a_log_to_the_transcript_the_task_run_and_the_commit_and_back(adw: Adw) -> None:
    adw.issue("a")
    adw.env["ADW_LOG"] = "json"
    agent = 'echo "this is $ADW_TRACE"; [ "$ADW_PHASE" != build ] || echo a > a.txt'
    with listening() as hook:
        adw.env["ADW_WEBHOOK"] = hook.url
        done = adw.call(*adw.run_args(agent))
    assert done.returncode == 0, done.stdout
    said = [json.loads(line) for line in done.stdout.splitlines()]
    run = adw.runs[-1].name
    assert all(one["id"].split("/")[0] == run for one in said)
    assert [(told["event"], told["id"], told["text"]) for told in hook.taken] == [("ended", run, "1 landed")]
    line = next(one for one in said if one["event"] == "phase" and one["phase"] == "build" and one["state"] == "done")
    of_prefect = [json.loads(text) for text in (adw.runs[-1] / "flow.log").read_text().splitlines() if text.startswith("{")]
    assert line["id"] in {one.get("id") for one in of_prefect}

    build = traced(adw, line["id"])["build"]
    assert build["commits"] == [line["sha"]]
    assert Path(build["logs"][0]).read_text() == f"this is {line['id']}\n"
    (task_run,) = ask(adw.home, "task_runs/filter", task_runs={"tags": {"all_": ["phase:build", "issue:a", f"repository:{slug(adw)}"]}})
    assert build["task_runs"] == [task_run["id"]]
    (flow_run,) = ask(adw.home, "flow_runs/filter", flow_runs={"tags": {"all_": ["adw", "issue:a", f"repository:{slug(adw)}"]}})
    assert list(build["flow_runs"]) == [flow_run["id"]]

    def logged() -> list[str]:
        return [one["message"] for one in ask(adw.home, "logs/filter", logs={"task_run_id": {"any_": [task_run["id"]]}})]

    until(lambda: any(message.startswith(f"{line['id']} ") for message in logged()))  # the server takes it up when it can
    (page,) = ask(adw.home, "artifacts/filter", artifacts={"task_run_id": {"any_": [task_run["id"]]}})
    assert line["id"] in page["data"]

    lease = build["leases"][0][0]
    landed = adw.repository.tip
    assert {name: traced(adw, name)["build"]["id"] for name in (task_run["id"], lease, landed, "HEAD")} == dict.fromkeys(
        [task_run["id"], lease, landed, "HEAD"], line["id"]
    )
    assert (build["landed"], traced(adw, landed)["land"]["commits"]) == (landed, [landed])
    shown = adw.call("show", "--trace", lease)
    assert [text for text in (line["id"], f"/runs/task-run/{task_run['id']}", build["logs"][0], f"{landed} (Adw-Issue: a)") if text not in shown.stdout] == []
    wrong = adw.call("show", "--trace", "no-such-name")
    assert (wrong.returncode, "no run of" in wrong.stdout) == (2, True)

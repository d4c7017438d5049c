"""People: plans to approve and to edit, changes to approve, and prompts to read, in the terminal and from afar."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Adw, ask, read, until
from tests.e2e.terminal import on_a_terminal

pytestmark = pytest.mark.usefixtures("untraced")

CHOICES = "approve, edit, reject or leave it"
PLANS = """
cat > "{folder}/$ADW_PHASE-$(ls "{folder}" | wc -l).prompt"
case "$ADW_PHASE" in
  plan) grep -q "say it louder" "{folder}"/plan-*.prompt && echo "a LOUD plan" || echo "a plan";;
  build) echo "$ADW_ISSUE" > "$ADW_ISSUE.txt";;
esac
"""


class Desk:
    """What the agent was sent, prompt by prompt."""

    def __init__(self, adw: Adw) -> None:
        self.folder = adw.issues.parent / "prompts"
        self.folder.mkdir()
        self.args = adw.run_args(PLANS.format(folder=self.folder))[1:]

    def sent(self, phase: str) -> list[str]:
        return [file.read_text() for file in sorted(self.folder.glob(f"{phase}-*.prompt"), key=lambda file: int(file.stem.split("-")[1]))]


def editor(folder: Path) -> str:
    """A program that makes a plan a better one."""
    path = folder / "editor"
    path.write_text("#!/bin/sh\nsed -i 's/a plan/a better plan/' \"$1\"\n")
    path.chmod(0o755)
    return str(path)


def asked(adw: Adw, gate: str = "plan") -> str:
    """The id of the newest run, once it is paused with a question."""
    wanted = until(lambda: [e for e in adw.events() if e["event"] == "approval" and e["gate"] == gate and e["state"] == "wanted"])
    assert wanted
    run = next(e for e in reversed(adw.events()) if e["event"] == "flow started")["flow_run"]
    until(lambda: read(adw.home, f"flow_runs/{run}")["state"]["type"] == "PAUSED")
    return str(run)


def answer(adw: Adw, run: str, **values: Any) -> None:
    """Answer as the form of the UI does, which is there a moment after the pause."""
    until(lambda: ask(adw.home, f"flow_runs/{run}/resume", run_input=values)["status"] == "ACCEPT")


def test_a_plan_that_a_person_edits_is_what_a_later_run_builds_without_another_plan(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    desk = Desk(adw)
    with on_a_terminal(adw, "plan", *desk.args, EDITOR=editor(tmp_path)) as terminal:
        terminal.shows("a plan")
        terminal.shows(CHOICES)
        terminal.type("e")
        assert terminal.ended() == 0, terminal.drawn
    assert adw.repository.subjects == ["first"]
    done = adw.call("run", *desk.args, "--approve", "plan", "--test-command", "true")  # for which an agent would make another plan
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a")
    assert len(desk.sent("plan")) == 1
    assert "a better plan" in desk.sent("build")[0]
    assert "a better plan" in adw.call("show", "a").stdout


@pytest.mark.thorough
def test_a_plan_that_is_rejected_is_made_again_with_what_was_said_of_it(adw: Adw) -> None:
    adw.issue("a")
    desk = Desk(adw)
    with on_a_terminal(adw, "plan", *desk.args) as terminal:
        terminal.shows(CHOICES)
        terminal.type("nonsense")
        terminal.shows(CHOICES)
        terminal.type("reject")
        terminal.shows("what is wrong with it")
        terminal.type("say it louder")
        terminal.shows("a LOUD plan")
        terminal.shows(CHOICES)
        terminal.type("l")
        assert terminal.ended() == 0, terminal.drawn
    first, second = desk.sent("plan")
    assert "say it louder" not in first
    assert "say it louder\n\nThat was said of this plan:\n\na plan" in second
    shown = json.loads(adw.call("plan", *desk.args, "--json").stdout.partition("[\n")[2].join(("[\n", "")))
    assert [(plan["approved"], plan["plan"]["text"]) for plan in shown] == [(False, "a LOUD plan")]
    assert len(desk.sent("plan")) == 2


OFF = '[memory]\nmode = "off"\n'  # else the issue that landed is remembered when its prompts are printed once more


def test_a_prompt_that_is_printed_is_the_one_that_is_sent_and_printing_it_writes_nothing(adw: Adw) -> None:
    adw.issue("a")
    adw.repository.commit("ways", **{"AGENTS.md": "Use tabs.\n", ".adw__prompts__build.md": "Ours: $plan$conventions$feedback\n", "adw.toml": OFF})
    desk = Desk(adw)
    asked_for = [str(adw.issues / "a.md"), *desk.args[1:-2]]  # it starts nothing, so needs no sandbox
    refs = adw.repository.git("for-each-ref")
    before = adw.call("prompt", "build", *asked_for)
    assert "(the plan is made first)" in before.stdout
    assert "(the change is made first)" in adw.call("prompt", "review", *asked_for).stdout
    assert adw.repository.git("for-each-ref") == refs
    plan = adw.call("prompt", "plan", *asked_for)
    assert adw.call("plan", *desk.args).returncode == 0
    build = adw.call("prompt", "build", *asked_for)
    assert adw.call("run", *desk.args).returncode == 0
    assert [plan.stdout, build.stdout] == [*desk.sent("plan"), *desk.sent("build")]
    assert "Use tabs." in build.stdout
    assert [adw.call("prompt", phase, *asked_for).stdout for phase in ("review", "document")] == [*desk.sent("review"), *desk.sent("document")]
    wrong = adw.call("prompt", "test", *asked_for)
    assert (wrong.returncode, "plan, build, review, document" in wrong.stdout) == (2, True)


def test_a_plan_is_edited_from_afar_and_another_one_refused_with_what_was_said(adw: Adw) -> None:
    adw.issue("a")
    adw.issue("b", priority="-1")
    desk = Desk(adw)
    process = adw.start("run", *desk.args, "--approve", "plan")
    run = asked(adw)
    assert not desk.sent("build")
    answer(adw, run, approve=True, plan="a quiet plan")
    until(lambda: [e for e in adw.events() if e["event"] == "approval" and e["state"] == "given"])
    asked(adw)
    answer(adw, run, approve=False, feedback="say it louder")
    out, _ = process.communicate()
    assert process.returncode == 1, out
    assert "a person did not approve the plan: say it louder" in out
    assert ["a quiet plan" in text for text in desk.sent("build")] == [True]
    again = adw.call("run", *desk.args)
    assert again.returncode == 0, again.stdout
    adw.assert_whole("a", "b")
    assert [("say it louder" in text) for text in desk.sent("plan")] == [False, False, True]
    assert "a LOUD plan" in desk.sent("build")[-1]


def test_a_run_on_a_terminal_asks_there_and_goes_on(adw: Adw, tmp_path: Path) -> None:
    adw.issue("a")
    desk = Desk(adw)
    with on_a_terminal(adw, "run", *desk.args, "--approve", "plan", "--approve", "landing", EDITOR=editor(tmp_path)) as terminal:
        terminal.shows("May this be built?")
        terminal.shows(CHOICES)
        terminal.type("e")
        terminal.shows("the run goes on")
        terminal.shows("May this land?")
        terminal.shows("+a")
        terminal.shows("approve, reject or leave it")
        terminal.type("r")
        terminal.shows("what is wrong with it")
        terminal.type("not so")
        terminal.shows("approve, reject or leave it")
        terminal.type("a")
        terminal.shows("landed")
        assert terminal.ended() == 0, terminal.drawn
    adw.assert_whole("a")
    first, second = desk.sent("build")
    assert "a better plan" in first
    assert "not so" in second


def test_what_is_answered_elsewhere_is_no_longer_asked_on_the_terminal(adw: Adw) -> None:
    adw.issue("a")
    desk = Desk(adw)
    with on_a_terminal(adw, "run", *desk.args, "--approve", "plan") as terminal:
        terminal.shows(CHOICES)
        answer(adw, asked(adw), approve=True)
        terminal.shows("it was answered elsewhere")
        assert terminal.ended() == 0, terminal.drawn
    adw.assert_whole("a")


def test_an_interrupt_at_a_question_ends_the_run_and_resume_asks_again(adw: Adw) -> None:
    adw.issue("a")
    desk = Desk(adw)
    with on_a_terminal(adw, "run", *desk.args, "--approve", "plan") as terminal:
        terminal.shows(CHOICES)
        terminal.interrupt()
        assert terminal.ended() == 130, terminal.drawn
    with on_a_terminal(adw, "resume") as terminal:
        terminal.shows(CHOICES)
        terminal.type("a")
        assert terminal.ended() == 0, terminal.drawn
    adw.assert_whole("a")
    assert len(desk.sent("plan")) == 1

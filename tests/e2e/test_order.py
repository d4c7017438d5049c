"""Who is built when: issues that depend on each other, and issues that touch the same files."""

import json

import pytest

from tests.e2e.conftest import Adw, configure

pytestmark = pytest.mark.usefixtures("untraced")


def test_stacked_an_issue_is_built_on_what_it_needs_before_that_has_landed(adw: Adw) -> None:
    adw.issue("a")
    adw.issue("b", depends_on="a")
    seen = adw.issues.parent / "seen"
    agent = f"""
    case "$ADW_PHASE-$ADW_ISSUE" in
      build-a) echo a > a.txt;;
      build-b) cat a.txt > b.txt && touch {seen};;
      review-a) until [ -e {seen} ]; do sleep 0.02; done;;
    esac
    """
    configure(adw, agent, top="stack = true\n")
    done = adw.call("run", str(adw.issues))
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a", "b")
    assert (adw.repository.path / "b.txt").read_text() == "a\n"


def test_issues_whose_plans_touch_the_same_files_are_built_one_behind_the_other(adw: Adw) -> None:
    for name in ("a", "b", "c"):
        adw.issue(name)
    plan = json.dumps({"summary": "Add a line.", "files": ["code.txt"], "items": []})
    agent = f"""
    case "$ADW_PHASE-$ADW_ISSUE" in
      plan-c) echo '{plan.replace("code.txt", "c.txt")}';;
      plan-*) echo '{plan}';;
      build-c) echo c > c.txt;;
      build-*) echo $ADW_ISSUE >> code.txt;;
    esac
    """
    configure(adw, agent, top="partition = true\n")
    done = adw.call("run", str(adw.issues))
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a", "b", "c")
    assert (adw.repository.path / "code.txt").read_text() == "one\na\nb\n"
    events = adw.events()
    assert [(e["issue"], e["behind"]) for e in events if e["event"] == "kept apart"] == [("b", {"a": ["code.txt"]})]
    assert not [e for e in events if e["event"] == "overtaken"]
    report = (adw.runs[-1] / "report.md").read_text()
    assert "b was built behind a: both touch code.txt" in report

from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from adw import report, results
from adw.mirror import Hub
from adw.model import Finding, Issue, Item, Outcome, Plan, Verdict
from adw.phases import Site
from adw.usage import Used, Window
from tests.adw.events import checked, folded, outcome, paid, phase, red
from tests.conftest import Repository

LANDED = Outcome(issue="a", title="Add a", state="landed", sha="0123456789abcdef", tries=1)
HEAD = [
    "|  | calls | tokens in | out | cache read | cache write | money | saved by the cache |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
]


def table(text: str, head: str) -> list[str]:
    """The rows of the table in a report that has this head."""
    lines = text.splitlines()
    return list(takewhile(lambda line: line.startswith("|"), lines[lines.index(head) + 2 :]))


def told(hub: Hub, repository: Repository, site: Site, phase: str, result: Plan | Verdict, *events: dict[str, Any]) -> str:
    """The report of an issue that has one result."""
    issue = Issue(id="a", title="Add a", body="please")
    results.record(hub, site.order(issue, phase), "0123456789abcdef" * 4, result, repository.tip)
    ended = Outcome(issue="a", title="Add a", state="refused", reason="no")
    return report.issue_report(hub, issue, ended, folded(*events), [])


def test_the_run_has_a_row_for_each_phase_over_all_issues_and_tries_and_one_in_all() -> None:
    progress = folded(
        phase("done"), outcome("landed"), paid(saved=0.5, cache_read=3000, cache_write=200), paid(number=2), paid(issue="b"), paid("plan", usd=0.3)
    )
    text = report.run_report(progress, [LANDED], {})
    assert text.split("## What the models took\n\n")[1].splitlines()[:5] == [
        *HEAD,
        "| plan | 1 | 12,000 | 345 | 0 | 0 | $0.30 | $0.00 |",
        "| build | 3 | 36,000 | 1,035 | 3,000 | 200 | $3.15 | $0.50 |",
        "| in all | 4 | 48,000 | 1,380 | 3,000 | 200 | $3.45 | $0.50 |",
    ]


def test_the_run_says_what_it_took_of_its_machine() -> None:
    used = Used(agents_cpu=1.0, adw_memory=2e8)
    text = report.run_report(folded({"event": "machine", "host": "here", "cores": 8}), [LANDED], {}, Window(0, 1, used, used))
    lines = text.split("## What it took of the machine\n\n")[1].splitlines()
    assert lines[0].startswith("- CPU, on average (at most), in cores of 8: agents 1.00 (1.00), ")
    assert "machine" not in report.run_report(folded(), [LANDED], {})


def test_an_issue_has_a_row_for_each_try_and_phase_of_its_own(hub: Hub, issue: Issue) -> None:
    progress = folded(paid("review", issue="i1"), paid(number=2, issue="i1"), paid(issue="i1"), paid("plan", issue="other"), paid("lint", issue="i1"))
    ended = Outcome(issue="i1", title="Add i1", state="refused", sha="")
    rows = table(report.issue_report(hub, issue, ended, progress, []), HEAD[0])
    assert [(row.split(" | ")[0].removeprefix("| "), row.split(" | ")[1]) for row in rows] == [
        ("build", "1"),
        ("review", "1"),
        ("lint", "1"),
        ("build (try 2)", "1"),
        ("in all", "4"),
    ]


@pytest.mark.parametrize(("place", "shown"), [("adw/a", "adw/a"), ("https://x/pull/7", "[https://x/pull/7](https://x/pull/7)")])
def test_what_is_ready_is_reported_with_where_it_is(place: str, shown: str) -> None:
    ready = Outcome(issue="a", title="Add a", state="ready", sha="0123456789abcdef", place=place)
    assert f"| a: Add a | ready at {shown} | 0123456789 | 1 |" in report.run_report(folded(), [ready], {}).splitlines()


def test_tokens_without_a_price_are_no_money_and_the_report_says_what_to_do() -> None:
    text = report.run_report(folded(paid(usd=0.0, unpriced=12_345)), [LANDED], {})
    assert "| build | 1 | 12,000 | 345 | 0 | 0 | no price | $0.00 |" in text
    assert "\n12,345 tokens of models without a price: set [prices] in adw.toml\n" in text


def test_a_run_whose_agents_tell_nothing_has_no_table_of_it() -> None:
    assert "models" not in report.run_report(folded(phase("done")), [LANDED], {})


def test_what_a_review_found_is_a_table_of_severity_place_and_text(hub: Hub, repository: Repository, site: Site) -> None:
    findings = (Finding(file="a|b.py", line=3, severity="error", text="x < y\nis *never* [so](u) | z"), Finding(file="", line=0, severity="note", text="fine"))
    text = told(hub, repository, site, "review", Verdict(passed=False, log="the whole log", findings=findings))
    assert "## Review: no\n\n```\nthe whole log\n```\n" in text
    assert table(text, "| severity | place | finding |") == [
        "| error | `a\\|b.py:3` | x \\< y is \\*never\\* \\[so\\](u) \\| z |",
        "| note |  | fine |",
    ]


def test_a_verdict_of_an_earlier_adw_or_of_a_test_has_no_table(hub: Hub, repository: Repository, site: Site) -> None:
    assert "severity" not in told(hub, repository, site, "test", Verdict(passed=True, log="ok"))


def test_a_plan_tells_its_files_and_its_items(hub: Hub, repository: Repository, site: Site) -> None:
    plan = Plan(text="do it", files=("a.py", "b.py"), items=(Item(title="First", files=("a.py",)), Item(title="Second")))
    text = told(hub, repository, site, "plan", plan)
    assert "## Plan\n\n```\ndo it\n```\n\nIt expects to touch `a.py`, `b.py`.\n" in text
    assert table(text, "| item | files |") == ["| First | `a.py` |", "| Second |  |"]


def test_a_plan_in_words_alone_has_neither(hub: Hub, repository: Repository, site: Site) -> None:
    text = told(hub, repository, site, "plan", Plan(text="do it"))
    assert ("expects" in text, "| item" in text) == (False, False)


def test_whether_a_build_was_done_in_parts_is_told_with_the_reason(hub: Hub, repository: Repository, site: Site) -> None:
    divided = {"event": "divided", "issue": "a", "try": 1, "parts": [["First | one", ["a.py"]], ["Second", ["b.py"]]], "reason": "they are *apart*"}
    text = told(hub, repository, site, "plan", Plan(text="do it"), divided, {"event": "integrated", "issue": "a", "try": 1, "left": ["wire them"]})
    assert "Built in 2 parts: they are \\*apart\\*.\n" in text
    assert table(text, "| part | files |") == ["| First \\| one | `a.py` |", "| Second | `b.py` |"]
    assert "as this was left to do:\n\n- wire them\n" in text
    assert "Built by one agent: it is small.\n" in told(hub, repository, site, "plan", Plan(text="do it"), {**divided, "parts": [], "reason": "it is small"})


@pytest.mark.parametrize(("address", "line"), [("", "- 1-build: `x/1-build.log`"), ("http://ui/1", "- [1-build](http://ui/1): `x/1-build.log`")])
def test_a_log_is_linked_where_it_has_an_address(address: str, line: str, hub: Hub, issue: Issue) -> None:
    ended = Outcome(issue="i1", title="Add i1", state="refused")
    assert line in report.issue_report(hub, issue, ended, folded(), [(Path("x/1-build.log"), address)]).splitlines()


def test_an_issue_tells_the_verdict_of_each_check_and_what_it_counts_for(hub: Hub, repository: Repository, site: Site) -> None:
    for verdict, events, head in (
        (Verdict(passed=True, log="ok"), [checked(lint=True)], "## lint (required): passed"),
        (Verdict(passed=False, log="ok"), [checked(lint=False)], "## lint (advisory): no"),
        (Verdict(passed=True, log="ok", flaky=True), [checked(lint=True)], "## lint (required): flaky"),
        (Verdict(passed=False, log="ok"), [checked(lint=True), red("lint")], "## lint (red at the base: not required in this run): no"),
    ):
        assert f"{head}\n\n```\nok\n```\n" in told(hub, repository, site, "lint", verdict, *events)


def test_a_flaky_test_is_no_passed_one(hub: Hub, repository: Repository, site: Site) -> None:
    assert "## Test: flaky\n\n```\nboth logs\n```\n" in told(hub, repository, site, "test", Verdict(passed=True, log="both logs", flaky=True))


def test_an_issue_that_landed_shows_what_was_said_of_it_where_it_landed_and_all_that_is_flaky(hub: Hub, repository: Repository, site: Site) -> None:
    issue, base = Issue(id="a", title="Add a", body="please"), repository.tip
    landed, other = repository.commit("landed"), repository.commit("on top of others")
    hub.tip()
    for number, (passed, flaky, about) in enumerate([(True, False, landed), (True, True, other), (False, False, other)]):
        verdict = Verdict(passed=passed, log=f"{number}", flaky=flaky)
        results.record(hub, site.order(issue, "test"), f"{number}" * 64, verdict, about)
    assert [verdict.log for verdict in report.verdicts(hub.mirror, issue.key, "test", landed)] == ["1", "0"]
    assert [verdict.log for verdict in report.verdicts(hub.mirror, issue.key, "test")][:1] == ["1"]
    assert report.verdicts(hub.mirror, issue.key, "lint", base) == []


def test_the_run_tells_of_each_check_what_it_counts_for_and_how_it_ended() -> None:
    of_a = [phase("done", "lint"), phase("no", "words"), phase("flaky", "test")]
    text = report.run_report(folded(checked(lint=True, words=False, old=True), red("old", "line 3"), *of_a, phase("flaky", "lint", issue="b")), [LANDED], {})
    assert table(text, "| check | counts as | issues |") == [
        "| lint | required | 1 done, 1 flaky |",
        "| words | advisory | 1 no |",
        "| old | red at the base: not required in this run |  |",
    ]
    assert "`old` says no to the branch as it is:\n\n```\nline 3\n```\n" in text
    assert "- test of a is flaky: it failed, and passed on the same tree\n- lint of b is flaky" in text


def test_a_run_without_checks_tells_of_none() -> None:
    assert "## Checks" not in report.run_report(folded(phase("done")), [LANDED], {})

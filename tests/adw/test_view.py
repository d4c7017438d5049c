import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from adw.cli.deliver import outcome as outcome_for_scripts
from adw.cli.table import SHOWN_AGENTS, duration
from adw.cli.view import LineView, LiveView, summary
from adw.journal import Journal
from adw.money import Spent
from adw.progress import Progress
from tests.adw.events import checked, doing, folded, outcome, paid, phase, red, started

WIDTHS = [80, 100, 120, 140, 200]
TROUBLE = [
    {"event": "breaker", "state": "open", "reason": "the model's API failed 4 times in a row;\nthe last time: away"},
    {"event": "limit", "now": 2, "configured": 4},
    {"event": "throttled", "issue": "a", "phase": "build", "reason": "it has too much to do"},
]


def drawn(progress: Progress, width: int = 140, height: int = 50) -> str:
    """What the live table shows, as text."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, record=True)
    with LiveView(console).shown() as view:
        view.tick(progress)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def lines(*events: dict[str, Any]) -> list[str]:
    """What is printed where there is no terminal."""
    console, progress = Console(width=80, file=io.StringIO(), record=True), Progress()
    view = LineView(console)
    for event in (started(), *events):
        progress.add({"timestamp": 10.0, **event})
        view.event(progress, {"timestamp": 10.0, **event})
    return [line.strip() for line in console.export_text().splitlines()]


def summed_up(progress: Progress) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    summary(console, progress, 100.0)
    return console.export_text()


@pytest.mark.parametrize("width", WIDTHS)
def test_what_an_agent_does_is_below_the_table_with_its_issue_and_phase_at_each_width(width: int) -> None:
    shown = drawn(folded(phase("running"), doing("Edit shelf/books.py")), width).splitlines()
    assert [line.split() for line in shown if "Edit" in line] == [["Add", "a", "build", "Edit", "shelf/books.py"]]


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_is_wider_than_the_terminal_whatever_is_in_it(width: int) -> None:
    progress = folded(phase("running"), doing("Bash " + "long " * 60), paid(usd=123456.7, input=999_999_999), {**TROUBLE[0], "reason": "long " * 60})
    progress.rows["a"].title = "a title that is longer than any column " * 6
    shown = drawn(progress, width).splitlines()
    assert max(map(len, shown)) <= width
    assert [line.split("long long")[0].strip().split()[-1] for line in shown if "long long" in line] == ["Bash", "open:"]


@pytest.mark.parametrize(("width", "money"), [(80, "$1.05"), (100, "$1.05 · 12.3k"), (140, "$1.05 · 12.3k")])
def test_an_issue_shows_what_it_has_spent_so_far_as_room_allows(width: int, money: str) -> None:
    row = next(line for line in drawn(folded(phase("running"), paid()), width).splitlines() if line.startswith("Add a"))
    assert (row.endswith(money), row.count("$")) == (True, 1)


@pytest.mark.parametrize(("width", "ends"), [(80, "landed"), (100, "landed 0123456"), (120, "$1.05 · 12.3k    landed 0123456")])
def test_an_issue_that_has_ended_says_how_before_what_it_cost(width: int, ends: str) -> None:
    row = next(line for line in drawn(folded(phase("done"), paid(), outcome("landed")), width).splitlines() if line.startswith("Add a"))
    assert row.endswith(ends)


READY = {**outcome("ready"), "sha": "0123456789abcdef", "place": "https://github.com/ada/code/pull/7"}


def test_what_is_ready_is_shown_with_where_it_is() -> None:
    assert "ready 0123456" in drawn(folded(READY), 100)
    assert "ready 0123456789  Add a  (a)  https://github.com/ada/code/pull/7" in summed_up(folded(READY)).splitlines()
    assert lines(READY)[-1] == "11.0s a: ready 0123456789 https://github.com/ada/code/pull/7"


def test_what_landed_on_a_remote_is_told_with_how_it_comes_here() -> None:
    hint = "landed on main at origin; your own branch is as it was: `git pull` brings it"
    far = {**started(), "elsewhere": "main at origin"}
    assert [hint in summed_up(folded(*events)) for events in ([far, outcome("landed")], [outcome("landed")], [far, READY])] == [True, False, False]


def test_the_status_line_has_the_money_of_all_issues() -> None:
    assert "1 phases at work · $2.10 · 24.7k tokens" in drawn(folded(phase("running"), paid(), paid(issue="b")))


def test_the_status_line_says_who_waits_for_approval_and_not_where_as_the_terminal_may_ask_itself() -> None:
    shown = drawn(folded({"event": "approval", "issue": "a", "state": "wanted"}))
    assert [line.split(" · ")[-1] for line in shown.splitlines() if "approval" in line] == ["a waits for approval"]


def test_a_run_whose_agents_tell_nothing_shows_no_money() -> None:
    shown = drawn(folded(phase("running")))
    assert ("tokens" in shown, "spent" in shown, "$" in shown) == (False, False, False)


def test_what_keeps_agents_from_the_model_is_below_the_status_line() -> None:
    shown = drawn(folded(*TROUBLE)).splitlines()
    at = next(number for number, line in enumerate(shown) if "issues ended" in line)
    assert shown[at + 1 : at + 4] == [
        "breaker open: the model's API failed 4 times in a row; the last time: away",
        "at most 2 agents at the model for now",
        "the model's API had too much to do once",
    ]


def many(number: int) -> Progress:
    names = [f"n{each}" for each in range(number)]
    at_work = [(phase("running", issue=name), doing("Read x", issue=name)) for name in names[-12:]]
    return folded(
        {**started(), "issues": [{"id": name, "title": f"Number {name}"} for name in names]}, *(event for pair in at_work for event in pair), *TROUBLE
    )


def test_a_run_of_many_issues_fits_on_the_screen_with_its_status_and_first_what_is_at_work() -> None:
    shown = drawn(many(60), width=100, height=30).splitlines()
    assert len(shown) < 30
    assert "issues ended" in "".join(shown)
    assert "▶" in shown[1]
    assert len([line for line in shown if "Read x" in line]) == SHOWN_AGENTS


@pytest.mark.parametrize(
    ("width", "height", "at_work", "rest"),
    [
        (80, 24, 6, "… and 494 more: 327 not begun, 100 landed, 60 waiting, 6 at work, 1 refused"),
        (140, 50, 12, "… and 480 more: 327 not begun, 100 landed, 52 waiting, 1 refused"),
    ],
)
def test_of_five_hundred_issues_those_that_move_are_shown_and_the_others_counted(width: int, height: int, at_work: int, rest: str) -> None:
    progress = many(498)  # beside a and b
    for name, state in [*((f"n{number}", "landed") for number in range(100)), ("n100", "refused")]:
        progress.add(outcome(state, name))
    for number in range(200, 260):
        progress.add(phase("done", phase="plan", issue=f"n{number}"))
    shown = drawn(progress, width, height).splitlines()
    rows = [("▶" in row, "✓" in row) for row in shown[1 : shown.index(rest)]]
    assert rows == [(True, False)] * at_work + [(False, True)] * (len(rows) - at_work)
    assert len(shown) < height


def test_a_run_that_has_ended_shows_thirty_issues_on_any_screen_and_nobody_at_work() -> None:
    progress = many(58)  # beside a and b
    progress.add({"event": "run ended", "timestamp": 20.0, "state": "interrupted"})
    shown = drawn(progress, height=20)
    assert ("… and 30 more" in shown, "Read x" in shown) == (True, False)


def test_lines_tell_of_the_breaker_the_limit_and_the_api_but_not_of_each_tool() -> None:
    closed = {"event": "breaker", "state": "closed", "reason": ""}
    raised = {"event": "limit", "now": 4, "configured": 4}
    assert lines(doing("Read x"), paid(), *TROUBLE, closed, raised)[1:] == [
        "9.0s breaker open: the model's API failed 4 times in a row; the last time: away",
        "9.0s 2 of 4 agents may be at the model now",
        "9.0s a: build: waits for the model's API: it has too much to do",
        "9.0s breaker closed",
        "9.0s 4 of 4 agents may be at the model now",
    ]


def test_lines_tell_how_many_slots_are_lent_and_what_was_added() -> None:
    fewer = {"event": "slots", "now": 2, "size": 5, "reason": "no memory"}
    added = {"event": "added", "note": "n", "issues": [{"id": "c", "title": "Add c"}]}
    assert lines(fewer, added, {**added, "issues": []})[1:] == ["9.0s 2 of 5 slots are lent: no memory", "9.0s added: c"]


def test_the_summary_tells_calls_tokens_money_and_what_the_cache_saved() -> None:
    progress = folded(phase("done"), paid(saved=0.4, cache_read=300_000, cache_write=20_000))
    assert "1 call of models: 12k tokens in and 345 out, 300k read from the cache and 20k written to it; $1.05 (the cache saved $0.40)\n" in summed_up(progress)


def test_the_summary_says_how_many_tokens_have_no_price_and_what_to_do() -> None:
    told = summed_up(folded(paid(usd=0.0, unpriced=12_345)))
    assert "12k tokens in and 345 out; 12,345 tokens of models without a price: set [prices] in adw.toml\n" in told
    assert "$" not in told


def test_the_summary_of_agents_that_tell_nothing_has_no_word_of_calls() -> None:
    assert "call" not in summed_up(folded(phase("done")))


def test_scripts_are_told_what_was_spent_on_each_issue_and_what_the_limits_are(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for event in (started(), phase("done"), paid(), paid(issue="b", usd=0.0, unpriced=12_345), *TROUBLE):
        journal.take({"timestamp": 10.0, **event})
    told = outcome_for_scripts(journal)
    assert told["spent"] == {"usd": 1.05, "saved": 0.0, "unpriced": 12_345, "calls": 2, "input": 24_000, "output": 690, "cache_read": 0, "cache_write": 0}
    assert [(name, row["spent"]["usd"], row["spent"]["calls"]) for name, row in told["issues"].items()] == [("a", 1.05, 1), ("b", 0.0, 1)]
    assert told["limits"] == {"breaker": f"open: {TROUBLE[0]['reason']}", "agents": 2, "slots": "", "throttled": 1}


def test_scripts_are_told_what_checks_count_for_and_what_is_flaky(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for event in (checked(lint=True, old=True), red("old"), phase("flaky", "test", 2)):
        journal.take({"timestamp": 10.0, **event})
    told = outcome_for_scripts(journal)
    assert told["checks"] == {"lint": "required", "old": "red at the base: not required in this run"}
    assert told["flaky"] == [{"issue": "a", "try": 2, "phase": "test"}]


@pytest.mark.parametrize(
    ("spent", "short"),
    [(Spent(usd=0.004), "<$0.01 · 0"), (Spent(usd=1234.5), "$1,234.50 · 0"), (Spent(usd=1.0, unpriced=3), "$1.00+ · 0"), (Spent(unpriced=3), "0")],
)
def test_money_is_told_as_far_as_it_is_known(spent: Spent, short: str) -> None:
    assert spent.short() == short


def test_a_time_is_as_exact_as_it_is_short() -> None:
    times = {4.21: "4.2s", 99: "99.0s", 100: "1m40s", 5999: "99m59s", 6000: "1h40m", 90_061: "25h01m"}
    assert {seconds: duration(seconds) for seconds in times} == times


def in_checks(*events: dict[str, Any], width: int = 140) -> str:
    """What the column of the checks says of an issue; in a run with three, of which one only speaks, and one was red before."""
    shown = drawn(folded(checked(lint=True, types=True, words=False, old=True), red("old"), *events), width).splitlines()
    place = next(line for line in shown if line.startswith("issue")).index("checks")
    return next(line for line in shown if line.startswith("Add a"))[place:][:10].strip()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_checks_of_an_issue_are_one_column_at_each_width(width: int) -> None:
    assert in_checks(phase("done", "lint"), phase("cached", "types"), width=width) == "✓ 2"
    assert in_checks(width=width) == ""


def test_the_column_of_checks_names_what_says_no_then_what_runs_then_what_is_flaky() -> None:
    no, runs, flaky = phase("no", "types"), phase("running", "lint"), phase("flaky", "old")
    assert [in_checks(*events) for events in ([no, runs, flaky], [runs, flaky], [flaky])] == ["✗ types", "▶ lint", "≈ old"]


def test_the_column_of_checks_names_what_counts_before_what_only_speaks() -> None:
    assert in_checks(phase("no", "old"), phase("no", "words"), phase("failed", "types")) == "✗ types"
    assert in_checks(phase("no", "old"), phase("done", "types")) == "✗ old"


def test_a_run_without_checks_has_no_column_of_them() -> None:
    assert "checks" not in drawn(folded(phase("done", "lint")))


def test_a_flaky_test_is_marked_and_told_in_the_end() -> None:
    progress = folded(checked(lint=True), red("lint"), phase("flaky", "test"), outcome("landed"))
    assert "≈ 2.0s" in drawn(progress)
    assert "test of a is flaky: it failed, and passed on the same tree" in summed_up(progress)
    assert "the check lint is red at the base: not required in this run" in summed_up(progress)


def test_lines_tell_what_is_flaky_and_what_was_red_before() -> None:
    told = lines(checked(lint=True), phase("flaky", "test"), red("lint"))
    assert told[-2:] == ["9.0s a: test: flaky after 2.0s", "9.0s the check lint is red at the base: not required in this run"]


def test_a_phase_in_pieces_shows_how_many_of_them_have_ended() -> None:
    begun = [phase("running", pieces=3), phase("running", "build-1"), phase("done", "build-1"), phase("running", "build-2")]
    assert "▶ 1/3" in drawn(folded(*begun))
    assert "✓ 9.0s" in drawn(folded(*begun, phase("done", pieces=3, seconds=9.0)))

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adw.journal import Journal, sink
from adw.model import Order

ORDER = Order(run="r1", issue="a", issue_key="a-1", phase="build", attempt=2)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    (tmp_path / "run").mkdir()
    return Journal(tmp_path / "run")


def states(journal: Journal) -> list[str]:
    return [event["state"] for event in journal.events()[0]]


def test_an_event_carries_where_it_belongs(journal: Journal) -> None:
    journal.phase(ORDER, "running")
    event = journal.events()[0][0]
    assert {key: event[key] for key in ("event", "run", "issue", "phase", "try", "state")} == {
        "event": "phase",
        "run": "r1",
        "issue": "a",
        "phase": "build",
        "try": 2,
        "state": "running",
    }


def test_a_phase_that_was_cut_before_it_ran_leaves_no_trace_and_one_that_runs_is_timed_from_then(journal: Journal) -> None:
    with journal.told(ORDER) as mark:
        mark.state = "cut"
    assert (journal.events()[0], mark.seconds) == ([], 0.0)
    with journal.told(ORDER) as mark:
        assert not mark.begun
        mark.begin()
    assert [event["state"] for event in journal.events()[0]] == ["running", "done"]


def test_a_phase_is_timed(journal: Journal) -> None:
    with journal.timed(ORDER) as mark:
        mark.state = "no"
    assert states(journal) == ["running", "no"]
    assert journal.progress().took["a", 2, "build"] >= 0


def test_a_phase_that_fails_says_why_and_fails(journal: Journal) -> None:
    with pytest.raises(KeyboardInterrupt), journal.timed(ORDER):
        raise KeyboardInterrupt("x" * 9000)
    assert states(journal) == ["running", "failed"]
    assert journal.events()[0][1]["reason"] == "x" * 2000


def test_a_line_that_was_cut_off_is_ignored(journal: Journal) -> None:
    journal.phase(ORDER, "running")
    whole = journal.file.stat().st_size
    with journal.file.open("a") as file:
        file.write('{"event": "phase", "sta')
    assert (states(journal), journal.events()[1]) == (["running"], whole)


def test_what_comes_behind_a_line_that_was_cut_off_is_read(journal: Journal) -> None:
    with journal.file.open("a") as file:
        file.write('{"event": "phase", "sta')
    journal.phase(ORDER, "running")
    journal.phase(ORDER, "done", seconds=1.0)
    assert states(journal)[-1] == "done"


def test_reading_goes_on_where_it_was(journal: Journal) -> None:
    journal.phase(ORDER, "running")
    _, position = journal.events()
    journal.phase(ORDER, "größer")
    assert [event["state"] for event in journal.events(position)[0]] == ["größer"]
    assert journal.events(journal.events(position)[1]) == ([], journal.file.stat().st_size)


def test_what_reads_from_now_on_knows_what_the_run_has_spent_and_nothing_else_of_what_was(journal: Journal) -> None:
    about = {"issue": "a", "phase": "build", "try": 1, "saved": 0.0, "unpriced": 0}
    journal.phase(ORDER, "running")
    journal.event("spent", **about, usd=1.5)
    reader = journal.reader(from_now=True)
    journal.event("spent", **about, usd=2.0)
    progress = reader.caught_up()
    assert (progress.money.usd, progress.spent_by_phase["build"].usd) == (3.5, 3.5)
    assert (progress.running, progress.started) == (set(), progress.last)


def test_a_run_without_events_has_none(tmp_path: Path) -> None:
    assert Journal(tmp_path / "gone").events() == ([], 0)


def test_many_threads_write_whole_lines(journal: Journal) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: journal.event("note", text="ö" * 20_000, number=number), range(80)))
    assert sorted(event["number"] for event in journal.events()[0]) == list(range(80))


def test_what_was_asked_for_is_kept_once(journal: Journal) -> None:
    journal.keep({"issue": "größe"})
    journal.keep({"issue": "other"})
    assert journal.order() == {"issue": "größe"}


@pytest.mark.parametrize("text", [None, '{"cut'])
def test_what_was_asked_for_may_not_be_known(journal: Journal, text: str | None) -> None:
    if text is not None:
        journal.order_file.write_text(text)
    assert journal.order() == {}


def test_each_try_and_phase_has_a_log_of_its_own(journal: Journal) -> None:
    log = journal.log(ORDER)
    assert (log.name, log.parent.name, log.parent.is_dir()) == ("2-build.log", "a-1", True)


def test_events_of_another_hosts_run_are_sent_there_and_taken_there(tmp_path: Path) -> None:
    here, there = Journal(tmp_path / "here"), Journal(tmp_path / "there")
    sent: list[dict[str, Any]] = []
    before = sink.set(sent.append)
    try:
        here.event("note", text="on a worker")
    finally:
        sink.reset(before)
    there.folder.mkdir()
    for event in sent:
        there.take(event)
    assert not here.file.exists()
    assert [event["text"] for event in there.events()[0]] == ["on a worker"]

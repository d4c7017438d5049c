"""What a run tells the tracker, and what it hears from there. The tracker is the stand-in for Archon; Prefect's tasks run in threads without it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adw import durations, trace
from adw.cli import inspect
from adw.config import Config, TrackerConfig
from adw.errors import Skipped
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import Arrival, Issue, Outcome
from adw.phases import Site
from adw.tracker import courier as couriers
from adw.tracker.courier import LAST, Courier
from adw.tracker.sender import SLOW
from adw.train import Train
from flows.checks import Checks
from flows.deliver import deliver_all
from flows.issues import delivered
from flows.places import Offer, Places
from flows.rails import Rails
from flows.tracking import courier, tracked
from tests import fake_archon
from tests.adw.daemon import free_port
from tests.adw.tools import until
from tests.conftest import make_site
from tests.fake_archon import Book
from tests.flows.stories import Direct

FIRST = Issue(id="a", title="Add the clock", body="It shows the time.")
SECOND = Issue(id="b", title="Let the clock strike", body="At noon.", depends_on=("a",))
AGENT = """
while [ "$ADW_PHASE" = plan ] && [ -e "$1/wait-$ADW_ISSUE" ]; do sleep 0.02; done
[ "$ADW_PHASE" != build ] || echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"
"""
PHASES = ("plan", "build", "test", "review", "document", "land")


@pytest.fixture
def archon() -> Iterator[fake_archon.Archon]:
    with fake_archon.serving() as made:
        yield made


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and rounds follow each other closely, as a test's run is short."""
    for name in ("NEWS", "ROUND", "LOOK"):
        monkeypatch.setattr(couriers, name, 0.05)


class Told(Direct):
    """It also says that a landing has ended, as the task does."""

    def land(self, arrivals: list[Arrival]) -> bool:  # type: ignore[override]
        landed = super().land(arrivals)
        for arrival in arrivals if landed else []:
            self.journal.phase(self.site.order(arrival.issue, "land", arrival.attempt), "done", seconds=0.1)
        return landed


def working(hub: Hub, folder: Path, *issues: Issue, run: str = "r1") -> Direct:
    """A run that has begun."""
    script = folder / "agent.sh"
    script.write_text(AGENT)
    site = make_site(hub, f"sh {script} {folder}", size=4)
    site = Site(run=run, repository=site.repository, branch=site.branch, config=site.config)
    site.journal().folder.mkdir(parents=True, exist_ok=True)
    places = Places()
    places.update({"here": Offer(4)})
    tip = hub.tip()
    work = Told(site, hub, site.journal(), hub.mirror.trailers(tip), places, durations.learned(hub.place))
    work.include(issues)
    work.train = Train(Rails(work), lambda: 4, work.landed, tip)
    work.checks = Checks(work)
    begun(work.journal, issues)
    return work


def begun(journal: Journal, issues: tuple[Issue, ...]) -> None:
    told = [{"id": issue.id, "title": issue.title} for issue in issues]
    journal.event("flow started", flow_run="f", ui="", pid=1, birth=0.0, issues=told)


def config(url: str, *, read: bool = False) -> Config:
    return Config(tracker=TrackerConfig(kind="archon", url=url, read=read))


def deliver(work: Direct, url: str, *, read: bool = False) -> dict[str, Outcome]:
    """How the issues ended, with the tracker told of it."""
    with tracked(work, config(url, read=read)) as work.people:
        return {outcome.issue: outcome for outcome in deliver_all(work, delivered, allow_red_base=True)}


def all_done(*issues: Issue) -> dict[str, str]:
    return {name: "done" for issue in issues for name in (issue.key, *(f"{issue.key}/{phase}" for phase in PHASES))}


def notes(work: Direct) -> list[str]:
    return [event["text"] for event in work.journal.events()[0] if event["event"] == "note"]


def test_each_issue_and_phase_is_a_task_and_in_the_end_done(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    outcomes = deliver(working(hub, tmp_path, FIRST, SECOND), archon.url)
    assert archon.states == all_done(FIRST, SECOND)
    assert archon.task(FIRST.key)["description"].startswith(f"Landed as {outcomes['a'].sha}.\n\nIt shows the time.\n\n")
    assert archon.task(f"{FIRST.key}/build")["title"] == "build: Add the clock"


def test_from_a_task_of_the_tracker_a_trace_leads_to_its_phase_and_back_once_for_each(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    for _ in range(2):  # a run that is resumed has the same journal
        work = working(hub, tmp_path, FIRST)
        deliver(work, archon.url)
    build, whole = archon.task(f"{FIRST.key}/build")["id"], archon.task(FIRST.key)["id"]
    (found,) = trace.find([work.journal], build)
    assert (found.phase, found.tasks) == ("build", [build, whole])
    assert {piece.issue for piece in trace.find([work.journal], whole)} == {FIRST.id}
    told = [(event["issue"], event["phase"], event["task"]) for event in work.journal.events()[0] if event["event"] == "tracked"]
    assert len(told) == len(set(told)) == 1 + len(PHASES)


def test_what_a_tracker_that_is_away_does_not_hear_is_told_once_and_sent_by_the_next_run(hub: Hub, tmp_path: Path) -> None:
    port = free_port()
    work = working(hub, tmp_path, FIRST)
    assert deliver(work, f"http://127.0.0.1:{port}")["a"].state == "landed"
    (note,) = notes(work)
    assert "cannot be reached" in note
    assert "the run goes on, and what is to be told is kept, and sent later" in note
    with fake_archon.serving(port) as archon:
        assert inspect.tracker(config(archon.url), hub) == f"Archon at {archon.url} is healthy; what the next run sends: 7 tasks"
        deliver(working(hub, tmp_path, FIRST, run="r2"), archon.url)
        assert archon.states == all_done(FIRST)


def test_an_issue_that_a_person_set_to_done_is_not_gone_on_with_and_can_be_resumed(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    (tmp_path / "wait-a").touch()
    work = working(hub, tmp_path, FIRST)
    with in_thread(lambda: deliver(work, archon.url, read=True)) as outcomes:
        until(lambda: archon.states.get(FIRST.key) == "doing")
        archon.task(FIRST.key)["status"] = "done"
        until(lambda: skipped(work, FIRST))
        (tmp_path / "wait-a").unlink()
    assert (outcomes[0]["a"].state, outcomes[0]["a"].reason) == (
        "skipped",
        "a person has set its task to done in the tracker: set it back, and `adw resume` goes on with it",
    )
    assert [event["phase"] for event in work.journal.events()[0] if event["event"] == "phase" and event["state"] == "running"] == ["plan"]
    assert archon.states == {FIRST.key: "done", f"{FIRST.key}/plan": "done"}
    archon.task(FIRST.key)["status"] = "todo"
    assert deliver(working(hub, tmp_path, FIRST, run="r2"), archon.url, read=True)["a"].state == "landed"
    assert archon.states == all_done(FIRST)


def test_a_new_task_that_is_assigned_to_adw_becomes_an_issue_of_the_run(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    (tmp_path / "wait-a").touch()
    work = working(hub, tmp_path, FIRST)
    with in_thread(lambda: deliver(work, archon.url, read=True)) as outcomes:
        until(lambda: archon.states.get(FIRST.key) == "doing")
        mine = {**archon.task(FIRST.key), "id": "0a1b2c3d-0000-4000-8000-000000000000", "title": "Say goodbye", "description": "to Ada", "status": "todo"}
        archon.book.tasks.append({**mine, "assignee": "adw", "task_order": 7, "feature": None})
        archon.book.tasks.append({**mine, "id": "ffffffff-0000-4000-8000-000000000000", "title": "Buy milk", "assignee": "User"})
        until(lambda: len(work.issues) == 2)
        (tmp_path / "wait-a").unlink()
    asked = work.issues[1]
    assert len(work.journal.notes()) == 1
    assert (asked.id, asked.title, asked.body) == ("archon-0a1b2c3d", "Say goodbye", "to Ada")
    assert outcomes[0][asked.id].state == "landed"
    others = [task for task in archon.book.tasks if task["title"] == "Buy milk"]
    archon.book.tasks.remove(others[0])
    assert archon.states == all_done(FIRST, asked)
    assert archon.task(asked.key)["id"] == mine["id"]
    assert archon.task(asked.key)["task_order"] == 7


def test_an_order_that_a_person_changed_decides_who_goes_first(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    work = working(hub, tmp_path, FIRST, SECOND)
    with tracked(work, config(archon.url, read=True)) as people:
        until(lambda: {task["task_order"] for task in archon.tasks} == {100, 200})
        archon.task(SECOND.key)["task_order"] = 50
        until(lambda: people.ranked(SECOND).priority > people.ranked(FIRST).priority)


def test_nobody_listens_by_default(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    deliver(working(hub, tmp_path, FIRST), archon.url)
    archon.task(FIRST.key).update(status="done", description=archon.task(FIRST.key)["description"].replace("(done", "(doing"))
    work = working(hub, tmp_path, FIRST, run="r2")
    deliver(work, archon.url)
    assert not skipped(work, FIRST)
    assert len(archon.wanted("GET")) == 4  # the project and its tasks, by each run


TEN = tuple(Issue(id=f"i{number}", title=f"Add i{number}", body="please") for number in range(10))


def run(journal: Journal) -> None:
    """What ten issues make happen in a run."""
    begun(journal, TEN)
    for phase in PHASES:
        for issue in TEN:
            with journal.timed(Site("r", "", "", Config()).order(issue, phase)):
                pass
    for issue in TEN:
        journal.event("outcome", issue=issue.id, title=issue.title, state="landed", reason="", sha="c0ffee", place="")


@contextmanager
def couriered(hub: Hub, folder: Path, url: str, *issues: Issue) -> Iterator[tuple[Journal, Courier]]:
    """For the block, the tracker is told of a run."""
    work = working(hub, folder, *issues, run=f"r{len(list(hub.place.runs.glob('*')))}")
    carries = courier(work, config(url), "")
    with carries.kept():
        yield work.journal, carries


def slow(archon: fake_archon.Archon) -> None:
    archon.seconds = SLOW + 0.1


@pytest.mark.parametrize("trouble", [slow, fake_archon.Archon.every_third_fails, None], ids=["slow", "every third fails", "dead"])
def test_whatever_was_wrong_with_it_during_a_run_its_final_state_is_right_after_it_comes_back(
    hub: Hub, tmp_path: Path, trouble: Callable[[fake_archon.Archon], None] | None
) -> None:
    port, book = free_port(), Book()
    if trouble:
        with fake_archon.serving(port, book) as archon:
            trouble(archon)
            with couriered(hub, tmp_path, archon.url, *TEN) as (journal, carries):
                run(journal)
                until(lambda: carries.sender.trouble)
                assert carries.patience < 1 < LAST
    else:
        with couriered(hub, tmp_path, f"http://127.0.0.1:{port}", *TEN) as (journal, carries):
            run(journal)
            until(lambda: carries.sender.trouble)
            assert carries.patience < 1 < LAST
    with fake_archon.serving(port, book) as archon, couriered(hub, tmp_path, archon.url):
        until(lambda: archon.listed == sorted(all_done(*TEN).items()))


def test_a_tracker_that_answers_at_once_is_waited_for(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    with couriered(hub, tmp_path, archon.url, *TEN) as (journal, carries):
        until(lambda: carries.sender.sent)
        run(journal)
        assert carries.patience == LAST
    assert archon.states == all_done(*TEN)


def test_a_spool_that_cannot_be_written_is_said_once_and_the_run_goes_on(hub: Hub, archon: fake_archon.Archon, tmp_path: Path) -> None:
    hub.place.tracker.write_text("in the way")
    work = working(hub, tmp_path, FIRST)
    assert deliver(work, archon.url)["a"].state == "landed"
    (note,) = notes(work)
    assert "the tracker is told nothing more in this run: FileExistsError" in note


def skipped(work: Direct, issue: Issue) -> bool:
    try:
        work.people.go_on(issue)
    except Skipped:
        return True
    return False


@contextmanager
def in_thread(what: Callable[[], Any]) -> Iterator[list[Any]]:
    """For the block, something goes on beside it; its result, once the block has ended."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(what()), daemon=True)
    thread.start()
    yield found
    thread.join(60)
    assert found

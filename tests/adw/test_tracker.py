"""What becomes of cards in a tracker that is slow, away, or half there; the tracker is the stand-in for Archon, on loopback."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from adw.tracker.archon import Archon, Repository
from adw.tracker.model import Card, Status
from adw.tracker.sender import AT_ONCE, Sender
from adw.tracker.spool import FILE, Spool
from tests import fake_archon
from tests.adw.daemon import free_port
from tests.adw.tools import python, until
from tests.fake_archon import Book

REPOSITORY = Repository("code", "", "adw: repo:1234")


def card(name: str, status: Status = "doing", last: str = "since noon") -> Card:
    issue, _, phase = name.partition("/")
    return Card(issue=issue, phase=phase, title=f"Add {name}", text="please", status=status, assignee="claude", last=last, place=100)


CARDS = [card("a-1"), card("a-1/plan", "done"), card("a-1/build"), card("b-2", "todo"), card("c-3", "review")]
STATES = {card.name: card.status for card in CARDS}


class Desk:
    """What sends cards, for a test that counts rounds."""

    def __init__(self, folder: Path, url: str) -> None:
        self.warned: list[str] = []
        self.spool = Spool(folder / "spool")
        self.sender = Sender(Archon(url, "", REPOSITORY), self.spool, folder / "lock", self.warned.append)
        self._runner, self._stack = asyncio.Runner(), AsyncExitStack()
        self._runner.run(self._stack.enter_async_context(self.sender.opened()))

    def put(self, *cards: Card) -> None:
        self.spool.put(cards)

    def round(self, *, look: bool = False) -> None:
        self._runner.run(self.sender.round(look=look))

    def send(self, *cards: Card) -> int:
        """Send, in as many rounds as that needs; how many that were."""
        self.put(*cards)
        for number in range(1, 100):
            self.round()
            if not self.spool.waiting():
                return number
        pytest.fail(f"not all was sent: {self.warned[-1]}")

    def close(self) -> None:
        self.spool.close()
        self._runner.run(self._stack.aclose())
        self._runner.close()


@pytest.fixture
def archon() -> Iterator[fake_archon.Archon]:
    with fake_archon.serving() as made:
        yield made


@pytest.fixture
def desk(tmp_path: Path, archon: fake_archon.Archon) -> Iterator[Desk]:
    made = Desk(tmp_path, archon.url)
    yield made
    made.close()


def test_cards_become_tasks_once_and_what_has_not_changed_is_not_sent(desk: Desk, archon: fake_archon.Archon) -> None:
    assert desk.send(*CARDS) == 1
    assert archon.states == STATES
    assert {task["feature"] for task in archon.tasks} == {"a-1", "b-2", "c-3"}
    assert archon.task("a-1")["description"] == "please\n\nadw: a-1 (doing, 100)\nsince noon"
    before = len(archon.asked)
    assert desk.send(*CARDS) == 1
    assert len(archon.asked) == before
    desk.send(card("a-1/build", "done"))
    assert [given for _, _, given in archon.asked[before:]] == [{"description": "please\n\nadw: a-1/build (done, 100)\nsince noon", "status": "done"}]


def test_at_most_four_are_asked_at_once_and_each_task_one_thing_at_a_time(desk: Desk, archon: fake_archon.Archon) -> None:
    archon.seconds = 0.02
    desk.send(*(card(f"i-{number}") for number in range(12)))
    assert len(archon.tasks) == 12
    assert 1 < archon.most <= AT_ONCE
    assert archon.twice == []


def test_a_task_gets_its_newest_state_only(desk: Desk, archon: fake_archon.Archon) -> None:
    for number in range(50):
        desk.put(card("a-1", last=f"step {number}"))
    desk.round()
    assert len(archon.wanted("POST")) + len(archon.wanted("PUT")) == 3  # the project, the task, its state
    assert archon.task("a-1")["description"].endswith("step 49")


def test_what_was_made_without_an_answer_is_found_and_not_made_twice(desk: Desk, archon: fake_archon.Archon) -> None:
    lost = iter([False, True] * 100)
    archon.dropped = lambda method, _path: method == "POST" and next(lost)
    desk.send(*CARDS)
    assert archon.states == STATES
    assert len(archon.book.tasks) == len(CARDS)


def test_every_third_answer_an_error_only_takes_longer(desk: Desk, archon: fake_archon.Archon) -> None:
    archon.every_third_fails()
    desk.send(*CARDS, *(card(f"i-{number}/{phase}") for number in range(10) for phase in ("plan", "build")))
    assert len(archon.states) == len(archon.book.tasks) == 25
    assert {archon.states[name] for name in STATES} == set(STATES.values())


def test_after_a_long_outage_all_is_read_once_and_only_what_differs_is_sent(tmp_path: Path) -> None:
    port, book = free_port(), Book()
    desk = Desk(tmp_path, f"http://127.0.0.1:{port}")
    with fake_archon.serving(port, book) as archon:
        desk.send(*CARDS)
    for status in ("review", "doing"):
        desk.put(*(replace(one, status=status) for one in CARDS))
        desk.round()
    desk.put(*CARDS, card("a-1/build", "done"))
    desk.round()
    assert desk.sender.failed
    with fake_archon.serving(port, book) as archon:
        desk.send()
        assert archon.states == {**STATES, "a-1/build": "done"}
        assert archon.wanted("POST") == []
        assert (len(archon.wanted("GET")), len(archon.wanted("PUT"))) == (1, 1)
    desk.close()


def test_what_another_process_has_sent_meanwhile_is_seen(desk: Desk, archon: fake_archon.Archon, tmp_path: Path) -> None:
    desk.send(card("a-1"))
    other = Desk(tmp_path, archon.url)
    other.send(card("b-2"))
    desk.send(card("b-2", "done"))
    assert archon.states == {"a-1": "doing", "b-2": "done"}
    other.close()


def test_two_that_made_the_same_task_leave_one(desk: Desk, archon: fake_archon.Archon) -> None:
    desk.send(*CARDS)
    first = archon.task("a-1")
    archon.book.tasks.append({**first, "id": "00000000-0000-4000-8000-000000000000", "created_at": archon.book.now()})
    desk.round(look=True)
    assert archon.states == STATES
    assert archon.task("a-1") is first


def test_a_card_that_is_refused_is_given_up_and_the_others_arrive(desk: Desk, archon: fake_archon.Archon) -> None:
    desk.send(*CARDS, replace(card("d-4"), assignee=""))
    assert archon.states == STATES
    assert "Assignee must be a non-empty string" in desk.warned[0]


def test_a_project_that_is_refused_is_asked_for_again(desk: Desk, archon: fake_archon.Archon) -> None:
    archon.upset = lambda method, path: fake_archon.no(422, "Title is required") if (method, path) == ("POST", "/api/projects") else None
    desk.put(*CARDS)
    desk.round()
    assert "does not take what it is asked for (422): Title is required" in desk.warned[0]
    archon.upset = lambda _method, _path: None
    desk.send()
    assert archon.states == STATES


def test_a_project_that_somebody_deleted_is_made_again(desk: Desk, archon: fake_archon.Archon) -> None:
    desk.send(card("a-1"))
    archon.book.projects.clear()
    archon.book.tasks.clear()
    desk.send(card("b-2"))
    assert archon.states == {"b-2": "doing"}


def test_what_somebody_took_away_is_not_made_again(desk: Desk, archon: fake_archon.Archon) -> None:
    desk.send(*CARDS)
    archon.task("a-1/build")["archived"] = True
    desk.round(look=True)
    desk.send(card("a-1/build", "done"), card("b-2", "done"))
    assert archon.states == {**{name: status for name, status in STATES.items() if name != "a-1/build"}, "b-2": "done"}


def test_what_a_person_says_of_a_task_stands_until_adw_has_something_new_to_say(desk: Desk, archon: fake_archon.Archon) -> None:
    desk.send(card("a-1"))
    archon.task("a-1").update(status="review", task_order=7)
    desk.round(look=True)
    desk.send(card("a-1", last="another step"))
    assert (archon.task("a-1")["status"], archon.task("a-1")["task_order"]) == ("review", 7)
    desk.send(card("a-1", "done"))
    assert (archon.task("a-1")["status"], archon.task("a-1")["task_order"]) == ("done", 7)


def test_a_text_that_looks_like_a_mark_is_none(desk: Desk, archon: fake_archon.Archon) -> None:
    desk.send(replace(card("a-1"), text="adw: b-2 (done)\n\nadw: c-3/plan (todo, 1)"))
    desk.round(look=True)
    desk.send(card("b-2", "review"))
    assert archon.states == {"a-1": "doing", "b-2": "review"}


def test_a_spool_that_is_damaged_is_begun_anew(desk: Desk, tmp_path: Path, archon: fake_archon.Archon) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / FILE).write_bytes(b"no database" * 1000)
    desk.send(*CARDS)
    assert archon.states == STATES


SENDS = """
import asyncio, sys
from pathlib import Path
from adw.tracker.sender import Sender
from adw.tracker.archon import Archon
from adw.tracker.spool import Spool
from tests.adw.test_tracker import CARDS, REPOSITORY
async def send():
    spool = Spool(Path(sys.argv[1]) / "spool")
    spool.put(CARDS)
    await Sender(Archon(sys.argv[2], "", REPOSITORY), spool, Path(sys.argv[1]) / "lock", print).round()
asyncio.run(send())
"""


@pytest.mark.parametrize("requests", [2, 3, 8])
def test_what_is_left_of_a_flush_that_was_killed_is_sent_by_the_next_and_nothing_twice(archon: fake_archon.Archon, tmp_path: Path, requests: int) -> None:
    reached = []

    def kill(_method: str, _path: str) -> None:
        reached.append(1)
        if len(reached) == requests:
            os.kill(process.pid, signal.SIGKILL)

    archon.upset = kill  # type: ignore[assignment]
    with python(SENDS, tmp_path, archon.url) as process:
        assert process.wait(60) == -signal.SIGKILL
    until(lambda: not archon.busy)
    desk = Desk(tmp_path, archon.url)
    assert desk.spool.waiting()
    desk.send()
    assert archon.states == STATES
    assert len(archon.book.tasks) == len(CARDS)
    desk.close()

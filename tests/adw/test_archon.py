"""The client of Archon's API, against a stand-in on loopback; what both promise also against a real one, if ADW_TEST_ARCHON_URL names it."""

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import httpx
import pytest

from adw.errors import TrackerAway, TrackerGone, TrackerRefused
from adw.tracker.archon import Archon, Repository, health
from adw.tracker.model import Card, Task
from tests import fake_archon
from tests.adw.daemon import free_port
from tests.fake_archon import no

REAL = os.environ.get("ADW_TEST_ARCHON_URL", "")
CARD = Card(issue="a-1", phase="build", title="build: Add a", text="please", status="doing", assignee="claude", last="build, try 1: running", place=300)

T = TypeVar("T")


class Client:
    """The client of one repository, for tests that do one thing after the other."""

    def __init__(self, url: str, repository: Repository, token: str = "") -> None:
        self._runner = asyncio.Runner()
        self.archon = self._in_loop(lambda: Archon(url, token, repository))

    def _in_loop(self, make: Callable[[], T]) -> T:
        async def made() -> T:
            return make()

        return self._runner.run(made())

    def do(self, what: Awaitable[T]) -> T:
        async def done() -> T:
            return await what

        return self._runner.run(done())

    def look(self) -> list[Task]:
        return list(self.do(self.archon.look()))

    def make(self, card: Card = CARD) -> Task:
        return self.do(self.archon.make(card.fresh()))

    def close(self) -> None:
        self.do(self.archon.close())
        self._runner.close()


@pytest.fixture
def fake() -> Iterator[fake_archon.Archon]:
    with fake_archon.serving() as made:
        yield made


@pytest.fixture
def repository() -> Repository:
    """One that was never there before."""
    name = uuid.uuid4().hex[:12]
    return Repository(f"adw-{name}", f"https://github.com/adw-tests/{name}", f"adw: repo:{name}")


@pytest.fixture(params=["stand-in", *(["real"] if REAL else [])])
def url(request: pytest.FixtureRequest, fake: fake_archon.Archon, repository: Repository) -> Iterator[str]:
    """Where an Archon is; a real one is left without our project."""
    if request.param == "stand-in":
        yield fake.url
        return
    yield REAL
    for project in httpx.get(f"{REAL}/api/projects").json()["projects"]:
        if project["title"] == repository.title:
            httpx.delete(f"{REAL}/api/projects/{project['id']}")


@pytest.fixture
def client(url: str, repository: Repository) -> Iterator[Client]:
    made = Client(url, repository)
    yield made
    made.close()


def test_a_new_task_is_to_be_done_and_becomes_what_its_card_says(client: Client) -> None:
    assert client.look() == []
    made = client.make()
    assert (made.status, made.place) == ("todo", 0)
    changed = client.do(client.archon.change(made, CARD.differs(made)))
    assert (changed.status, changed.place, changed.fields["assignee"]) == ("doing", 300, "claude")
    (seen,) = client.look()
    assert (seen.id, seen.fields) == (made.id, changed.fields)
    assert CARD.differs(seen) == {}
    assert client.look() == [seen]


def test_a_project_is_found_again_by_its_address_or_by_its_mark(client: Client, url: str, repository: Repository) -> None:
    client.look()
    client.make()
    for other in (
        Repository("another-title", f"{repository.url}.git", "adw: repo:another-mark"),
        Repository("another-title", "", repository.mark),
    ):
        again = Client(url, other)
        assert len(again.look()) == 1
        again.close()


def test_a_task_that_is_gone_is_told_apart(client: Client) -> None:
    client.look()
    made = client.make()
    client.do(client.archon.drop(made))
    client.do(client.archon.drop(made))
    assert client.look() == []
    with pytest.raises(TrackerGone, match=r"\(404\)"):
        client.do(client.archon.change(Task(id=str(uuid.uuid4()), fields=made.fields, created=""), {"title": "x"}))


def test_what_is_not_valid_is_refused_and_not_taken_for_trouble(client: Client) -> None:
    client.look()
    made = client.make()
    with pytest.raises(TrackerRefused, match="Invalid status 'late'"):
        client.do(client.archon.change(made, {"status": "late"}))
    with pytest.raises(TrackerRefused, match="Assignee must be a non-empty string"):
        client.do(client.archon.make({**CARD.fresh(), "assignee": ""}))


@pytest.fixture
def alone(fake: fake_archon.Archon, repository: Repository) -> Iterator[Client]:
    """A client of the stand-in."""
    made = Client(fake.url, repository)
    yield made
    made.close()


def test_a_list_that_has_not_changed_is_not_sent_again(alone: Client, fake: fake_archon.Archon) -> None:
    first = alone.look()
    assert alone.look() == first
    assert fake.answered == [200, 200, 200, 304]


def test_a_project_whose_making_was_not_answered_is_found_and_not_made_twice(alone: Client, fake: fake_archon.Archon) -> None:
    fake.dropped = lambda method, _path: method == "POST"
    with pytest.raises(TrackerAway, match="cannot be reached"):
        alone.look()
    fake.dropped = lambda _method, _path: False
    assert alone.look() == []
    assert len(fake.book.projects) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (no(500, {"error": "connection lost"}), r"is in trouble \(500\): connection lost"),
        (no(502, "Bad Gateway"), r"is in trouble \(502\)"),
        (no(504, "late"), r"is in trouble \(504\)"),
        (no(429, "slow down"), r"is in trouble \(429\)"),
        (no(401, "who are you"), r"wants another token \(401\): who are you"),
        (no(404, "Not Found"), r"does not know what it is asked for \(404\)"),
        ((503, {"status": "migration_required", "ready": False, "message": "run complete_setup.sql"}, {}), r"is not ready \(503\): run complete_setup"),
        ((302, b"", {"location": "http://elsewhere.invalid/"}), r"is somewhere else: set tracker.url to that \(302\): http://elsewhere"),
        ((200, b"<html>Welcome to nginx!</html>", {}), "answers nonsense, if it is one: '<html>Welcome"),
        ((200, {"projects": None}, {}), "answers nonsense"),
        ((200, [], {}), "answers nonsense"),
        ((200, {"projects": [{"title": "somebody's"}]}, {}), "answers nonsense"),
    ],
)
def test_what_is_wrong_is_said_in_words(alone: Client, fake: fake_archon.Archon, said: fake_archon.Said, words: str) -> None:
    fake.upset = lambda _method, _path: said
    with pytest.raises(TrackerAway, match=words):
        alone.look()


def test_nobody_there_is_said_in_words(repository: Repository) -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", repository)
    with pytest.raises(TrackerAway, match="cannot be reached"):
        client.look()
    client.close()


def test_a_token_goes_along_and_never_to_another_host(fake: fake_archon.Archon, repository: Repository) -> None:
    with fake_archon.serving() as other:
        fake.token = "t0ken"
        client = Client(fake.url, repository, "t0ken")
        assert client.look() == []
        fake.upset = lambda _method, path: (307, b"", {"location": f"{other.url}{path}"})
        with pytest.raises(TrackerAway, match="somewhere else"):
            client.look()
        client.close()
        assert other.asked == []


def test_its_health_is_told_in_words(fake: fake_archon.Archon) -> None:
    assert health(fake.url, "") == f"Archon at {fake.url} is healthy"
    fake.health = {"status": "migration_required", "ready": False, "message": "run migration/complete_setup.sql"}
    with pytest.raises(TrackerAway, match=r"lacks a migration of its database: run migration/complete_setup\.sql"):
        health(fake.url, "")
    fake.health = {"status": "initializing", "ready": False}
    with pytest.raises(TrackerAway, match="is not ready: initializing"):
        health(fake.url, "")
    fake.health = {"status": "healthy", "ready": True}
    fake.upset = lambda _method, path: (200, {"status": "schema_missing"}, {}) if path.startswith("/api") else None
    with pytest.raises(TrackerAway, match="cannot keep tasks: schema_missing"):
        health(fake.url, "")
    with pytest.raises(TrackerAway, match="does not answer as it should"):
        health(f"http://127.0.0.1:{free_port()}", "")

"""Whatever is wrong with the memory is a warning, once, and the run goes on."""

import os
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adw.config import MemoryConfig
from adw.memory import stores
from adw.memory.border import Border, fit
from adw.memory.model import FOREVER, LONGEST, Memory, Store
from tests import fake_mem0

ON = MemoryConfig()
FACT = Memory(text="the tests need a free port", kind="failure", source="agent")


def no_files(_commit: str, _paths: Sequence[str]) -> Mapping[str, str]:
    raise AssertionError


def port() -> tuple[str, str]:
    return "which port", "c0ffee"


class Bench:
    """A border, and what it warned of."""

    def __init__(self, open_: Callable[[], Store], config: MemoryConfig = ON, blobs: Any = no_files, limit: float = 60.0) -> None:
        self.warned: list[str] = []
        self.border = Border(config, open_, blobs, self.warned.append, limit)

    def texts(self) -> list[str]:
        return [memory.text for memory in self.border.recall(port)]

    def learn(self, *memories: Memory) -> None:
        self.border.learn(lambda: memories)
        self.border.close()


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "memory"


@pytest.fixture
def store(folder: Path) -> Store:
    return stores.lexical(folder, "repo:1")


def test_what_was_learnt_is_recalled(store: Store) -> None:
    bench = Bench(lambda: store)
    assert bench.texts() == []
    bench.learn(FACT)
    assert bench.texts() == [FACT.text]
    assert bench.warned == []


def test_no_more_is_recalled_than_is_configured(store: Store) -> None:
    bench = Bench(lambda: store, MemoryConfig(k=2, tokens=100))
    bench.learn(*(replace(FACT, text=f"port {number} is free {'x ' * (1000 if number == 3 else 1)}") for number in range(6)))
    assert len(bench.texts()) == 2
    assert not any(text.startswith("port 3") for text in bench.texts())


def test_a_memory_of_files_is_recalled_as_long_as_they_are_what_they_were(store: Store) -> None:
    now, asked = {"a.py": "1" * 40}, []

    def blobs(commit: str, paths: Sequence[str]) -> Mapping[str, str]:
        asked.append((commit, paths))
        return now

    bench = Bench(lambda: store, blobs=blobs)
    bench.learn(replace(FACT, kind="file", files=dict(now)))
    assert bench.texts() == [FACT.text]
    assert asked == [("c0ffee", ["a.py"])]
    now["a.py"] = "2" * 40
    assert bench.texts() == []
    now.clear()
    assert bench.texts() == []


def test_where_it_is_off_nothing_is_opened() -> None:
    bench = Bench(NotImplemented, MemoryConfig(mode="off"))
    bench.border.begin()
    bench.learn(FACT)
    assert bench.texts() == []
    assert bench.warned == []


def broken() -> Store:
    raise ImportError("no module named mem0")  # noqa: EM101, TRY003


def test_a_memory_that_cannot_be_opened_is_told_once(store: Store) -> None:  # noqa: ARG001
    bench = Bench(broken)
    bench.border.begin()
    assert bench.texts() == bench.texts() == []
    bench.learn(FACT)
    assert bench.warned == ["the memory is of no help, and the run goes on without it: ImportError: no module named mem0"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_once(folder: Path) -> None:
    folder.mkdir(mode=0o500)
    bench = Bench(lambda: stores.lexical(folder, "repo:1"))
    assert bench.texts() == []
    assert len(bench.warned) == 1


def test_a_place_that_is_no_folder_is_told_once(folder: Path) -> None:
    folder.write_text("a file")
    bench = Bench(lambda: stores.lexical(folder, "repo:1"))
    assert bench.texts() == bench.texts() == []
    bench.learn(FACT)
    assert len(bench.warned) == 1
    assert "FileExistsError" in bench.warned[0]


def test_a_damaged_file_is_told_once_and_the_memory_begins_anew(folder: Path, store: Store) -> None:
    bench = Bench(lambda: store)
    bench.learn(FACT)
    (folder / "memory.sqlite").write_bytes(b"no database at all" * 500)
    assert bench.texts() == []
    assert len(bench.warned) == 1
    assert "it was moved to" in bench.warned[0]
    again = Bench(lambda: store)
    again.learn(FACT)
    assert again.texts() == [FACT.text]


def test_a_full_disk_is_told_once(folder: Path, store: Store) -> None:
    bench = Bench(lambda: store)
    bench.learn(FACT)
    with closing(sqlite3.connect(folder / "memory.sqlite")) as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
    real = sqlite3.connect

    def small(*args: Any, **more: Any) -> sqlite3.Connection:
        db = real(*args, **more)
        db.execute(f"PRAGMA max_page_count = {pages}")
        return db

    full = Bench(lambda: store)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adw.memory.fts.sqlite3.connect", small)
        full.learn(*(replace(FACT, text=f"{number} " + "word " * 300) for number in range(200)))
        assert full.texts() == [FACT.text]
    assert len(full.warned) == 1
    assert "database or disk is full" in full.warned[0]


def test_a_file_that_stays_locked_is_told_once_and_can_still_be_read(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(lambda: store)
    bench.learn(FACT)
    monkeypatch.setattr("adw.memory.fts.PATIENCE", 0.05)
    late = Bench(lambda: store)
    with closing(sqlite3.connect(folder / "memory.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        late.learn(replace(FACT, text="two"), replace(FACT, text="three"))
        assert late.texts() == [FACT.text]
    assert len(late.warned) == 1
    assert "OperationalError: database is locked" in late.warned[0]


def test_a_slow_memory_is_not_waited_for_nor_asked_again_while_it_thinks(home: Path) -> None:  # noqa: ARG001
    with fake_mem0.serving() as api:
        store = stores.platform(fake_mem0.KEY, "repo:1", api.url)
        bench = Bench(lambda: store, limit=0.05)
        bench.border.config = MemoryConfig(mode="platform", secrets={"MEM0_API_KEY": "k"})
        bench.border.begin()
        bench.border._opened().result()  # noqa: SLF001 - it has purged
        api.late.clear()
        before = len(api.asked)
        assert bench.texts() == []
        assert bench.texts() == []
        api.late.set()
        store._api.client.close()  # noqa: SLF001
        assert len(api.asked) <= before + 1
        assert bench.warned == ["the memory is of no help, and the run goes on without it: TimeoutError: it did not answer within 0.05 seconds"]


def test_an_opening_that_takes_for_ever_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adw.memory.border.OPENING", 0.05)
    monkeypatch.setattr("adw.memory.border.WRITING", 0.05)
    never = threading.Event()
    bench = Bench(lambda: never.wait(600))  # type: ignore[arg-type, return-value]
    assert bench.texts() == bench.texts() == []
    bench.learn(FACT)
    assert len(bench.warned) == 1
    never.set()


def test_a_question_that_cannot_be_asked_is_told_too(store: Store) -> None:
    bench = Bench(lambda: store)

    def question() -> tuple[str, str]:
        raise LookupError("the commit is gone")  # noqa: EM101, TRY003

    assert bench.border.recall(question) == ()
    assert bench.warned == ["the memory is of no help, and the run goes on without it: LookupError: the commit is gone"]


def test_a_secret_is_not_kept_whatever_else_is_learnt_with_it(store: Store) -> None:
    bench = Bench(lambda: store)
    bench.learn(replace(FACT, text="the port wants ghp_16C7e42F292c6912E7710c838347Ae178B4a"), FACT)
    assert [memory.text for memory in store.entries()] == [FACT.text]
    assert bench.warned == []


def test_a_memory_is_kept_as_long_as_its_kind_lasts_and_what_a_person_said_for_ever() -> None:
    config, now = MemoryConfig(ttl={"failure": 60}), 1000.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("adw.memory.border.time.time", lambda: now)
        assert fit(FACT, config).expires_at == now + 60
        assert fit(replace(FACT, kind="file"), config).expires_at == now + 3600
        assert fit(replace(FACT, kind="decision"), config).expires_at > now + 30 * 24 * 3600
        assert fit(replace(FACT, source="person"), config).expires_at == FOREVER


def test_what_an_agent_made_up_fits_what_there_is() -> None:
    kept = fit(replace(FACT, kind="prophecy", text=" x" * LONGEST), ON)
    assert kept.kind == "convention"
    assert len(kept.text) <= LONGEST

"""The file of the lexical memory, with several processes at it, killed ones among them, and when it is damaged."""

import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from adw.memory import stores
from adw.memory.fts import _where, plain
from adw.memory.model import Damaged, Memory, Stale, Store

ADDS = """
import sys
from pathlib import Path
from adw.memory import stores
from adw.memory.model import Memory
store = stores.lexical(Path(sys.argv[1]), "repo:1")
for n in range(10_000):
    assert store.add(Memory(text=f"{sys.argv[2]} fact {n}", kind="convention"))
    print(n, flush=True)
"""
COUNTS = """
import sys
from dataclasses import replace
from pathlib import Path
from adw.memory import stores
from adw.memory.model import Stale
store = stores.lexical(Path(sys.argv[1]), "repo:1")
print("ready", flush=True)
sys.stdin.readline()
done = 0
while done < 25:
    (seen,) = store.entries()
    try:
        store.update(replace(seen, text=str(int(seen.text) + 1)))
        done += 1
    except Stale:
        pass
"""


def start(program: str, *args: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", program, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "memory"


@pytest.fixture
def store(folder: Path) -> Store:
    return stores.lexical(folder, "repo:1")


def test_four_processes_that_count_to_25_each_make_100(folder: Path, store: Store) -> None:
    store.add(Memory(text="0", kind="command", name="counter"))
    processes = [start(COUNTS, str(folder)) for _ in range(4)]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * 4
    assert [(memory.text, memory.version) for memory in store.entries()] == [("100", 101)]


def test_a_process_that_is_killed_while_it_adds_loses_nothing_that_was_acknowledged(folder: Path, store: Store) -> None:
    acknowledged = 0
    for name in ("first", "second", "third"):
        with start(ADDS, str(folder), name) as process:
            assert process.stdout
            for _ in range(7):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().count("\n")  # acknowledged before it died; a line that was cut off is none
        acknowledged += 7 + rest
        mine = {memory.text for memory in store.entries() if memory.text.startswith(name)}
        assert {f"{name} fact {n}" for n in range(7 + rest)} <= mine
        assert len(store.recall(f"{name} fact", 500)) >= min(7 + rest, 500)  # the words are there, too
    assert acknowledged >= 21


def test_a_damaged_file_is_moved_aside_and_the_memory_begins_anew(folder: Path, store: Store) -> None:
    store.add(Memory(text="one", kind="command"))
    file = folder / "memory.sqlite"
    file.write_bytes(b"no database at all" * 500)
    with pytest.raises(Damaged, match=r"was damaged \(file is not a database\); it was moved to .*memory-damaged-\d+, and a new one is begun"):
        store.recall("one", 1)
    (aside,) = (path for path in folder.glob("memory-damaged-*") if not path.name.endswith(("-wal", "-shm")))
    assert aside.read_bytes().startswith(b"no database")
    assert store.entries() == []
    assert store.add(Memory(text="two", kind="command"))
    assert len(store.recall("two", 1)) == 1


def test_a_file_that_is_damaged_when_it_is_opened_is_moved_aside_too(folder: Path) -> None:
    folder.mkdir()
    (folder / "memory.sqlite").write_bytes(b"no database at all" * 500)
    with pytest.raises(Damaged):
        stores.lexical(folder, "repo:1")
    assert stores.lexical(folder, "repo:1").add(Memory(text="one", kind="command"))


def test_one_who_finds_the_file_damaged_too_late_leaves_the_new_one_alone(folder: Path, store: Store) -> None:
    (folder / "memory.sqlite").write_bytes(b"no database at all" * 500)
    opened = (folder / "memory.sqlite").stat().st_ino  # by both
    with pytest.raises(Damaged):
        store.entries()
    store.add(Memory(text="new", kind="command"))
    store._api.vector_store._begin_anew(opened, sqlite3.DatabaseError("file is not a database"))  # type: ignore[attr-defined]  # noqa: SLF001
    assert [memory.text for memory in store.entries()] == ["new"]
    assert len([path for path in folder.glob("memory-damaged-*") if not path.name.endswith(("-wal", "-shm"))]) == 1


def test_many_who_find_the_file_damaged_at_once_all_go_on(folder: Path, store: Store) -> None:
    (folder / "memory.sqlite").write_bytes(b"no database at all" * 500)
    ready, other = threading.Barrier(8), list[Exception]()

    def look(number: int) -> None:
        ready.wait()
        for _ in range(2):
            try:
                store.add(Memory(text=f"new {number}", kind="command"))
            except Damaged:
                continue
            except Exception as no:  # noqa: BLE001 - there must be none
                other.append(no)

    threads = [threading.Thread(target=look, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert other == []
    assert len(store.entries()) == 8


def test_an_empty_file_is_an_empty_memory(folder: Path) -> None:
    folder.mkdir()
    (folder / "memory.sqlite").touch()
    assert stores.lexical(folder, "repo:1").entries() == []


def test_a_file_that_another_holds_locked_is_no_damage(folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adw.memory.fts.PATIENCE", 0.05)
    with closing(sqlite3.connect(folder / "memory.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            store.add(Memory(text="one", kind="command"))
        assert store.recall("one", 1) == []  # who reads need not wait
    assert not list(folder.glob("*damaged*"))


def test_a_filter_that_is_not_known_is_refused_and_never_a_wider_answer() -> None:
    with pytest.raises(KeyError):
        _where({"kind": {"in": ["decision"]}})
    with pytest.raises(KeyError):
        _where({"user_id": {"icontains": "repo"}})


@pytest.mark.parametrize("query", ['"', "a NEAR b*", "AND OR NOT", "x'; DROP TABLE memory; --", "ß é 漢字", "a" * 10_000, "the of and", "{col: x}"])
def test_a_question_is_words_and_never_syntax(store: Store, query: str) -> None:
    store.add(Memory(text="the tests need a free port", kind="failure"))
    assert store.recall(query, 5) == []
    assert len(store.recall(f"{query} ports", 5)) == 1


def test_a_blind_write_is_refused(store: Store) -> None:
    store.add(Memory(text="one", kind="command"))
    with pytest.raises(Stale):
        store._api.update(store.entries()[0].id, text="two")  # type: ignore[attr-defined]  # noqa: SLF001


def test_the_newest_come_first(store: Store) -> None:
    for text in ("one", "two", "three"):
        store.add(Memory(text=text, kind="command"))
    assert [memory.text for memory in store.entries()] == ["three", "two", "one"]


def test_the_parts_of_names_are_words() -> None:
    assert plain("mapsWith parse_header HTTPServer") == "maps With parse header HTTPServer"


def test_others_cannot_read_the_memory(folder: Path, store: Store) -> None:
    assert store.entries() == []
    assert folder.stat().st_mode & 0o077 == 0

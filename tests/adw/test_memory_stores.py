"""What the port promises, of each of its implementations; Mem0 is the real one, and what it talks to is on loopback."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from adw.memory import stores
from adw.memory.model import KINDS, Memory, Stale, Store, keep, within
from tests import fake_mem0
from tests.fake_mem0 import Api

SCOPE = "repo:1234"
TABS = Memory(text="Makefiles are indented with tabs", kind="convention", source="person", about="i1", files={"Makefile": "1" * 40})
PORT = Memory(text="the tests need a free port, or fail with EADDRINUSE", kind="failure", source="agent")
OLD = Memory(text="the server listens on port 80", kind="file", expires_at=time.time() - 1)


@pytest.fixture
def api() -> Iterator[Api]:
    with fake_mem0.serving() as api:
        yield api


def opened(mode: str, folder: Path, api: Api, scope: str = SCOPE) -> Store:
    if mode == "lexical":
        return stores.lexical(folder, scope)
    if mode == "platform":
        return stores.platform(fake_mem0.KEY, scope, api.url)
    openai = {"provider": "openai", "config": {"api_key": "k", "openai_base_url": f"{api.url}/v1"}}
    embedder = {"provider": "openai", "config": {**openai["config"], "embedding_dims": fake_mem0.DIMENSIONS}}  # type: ignore[dict-item]
    qdrant = {"provider": "qdrant", "config": {"path": str(folder / "qdrant"), "embedding_model_dims": fake_mem0.DIMENSIONS, "on_disk": True}}
    return stores.semantic({"llm": openai, "embedder": embedder, "vector_store": qdrant, "history_db_path": ":memory:"}, scope)


@pytest.fixture(params=["lexical", "semantic", "platform"])
def store(request: pytest.FixtureRequest, home: Path, api: Api) -> Iterator[Store]:
    made = opened(request.param, home / "memory", api)
    yield made
    used = made._api  # type: ignore[attr-defined]  # noqa: SLF001 - Mem0 itself leaves its connections to the garbage collector
    if request.param == "semantic":
        used.close()
        for client in (used.vector_store.client, used.embedding_model.client, used.llm.client):
            client.close()
    if request.param == "platform":
        used.client.close()


def texts(memories: list[Memory]) -> list[str]:
    return [memory.text for memory in memories]


def test_what_was_added_is_found_by_its_words_and_is_as_it_was(store: Store) -> None:
    assert store.add(TABS)
    assert store.add(PORT)
    found = store.recall("Mend the indentation of the Makefiles: tabs", 1)
    assert [replace(one, id="", created="") for one in found] == [TABS]
    assert found[0].id
    assert found[0].created


def test_nothing_is_found_for_nothing(store: Store) -> None:
    store.add(TABS)
    assert store.recall(" \n", 5) == []


def test_all_are_listed_the_newest_first_and_by_their_kind(store: Store) -> None:
    for number, kind in enumerate(KINDS):
        store.add(Memory(text=f"fact {number}", kind=kind))
    assert sorted(texts(store.entries())) == [f"fact {number}" for number in range(len(KINDS))]
    assert texts(store.entries("command")) == ["fact 3"]


def test_a_fact_is_kept_once_whoever_adds_it_again(store: Store) -> None:
    assert store.add(TABS)
    assert not store.add(replace(TABS, text="makefiles are  indented with TABS", about="another"))
    assert texts(store.entries()) == [TABS.text]
    assert store.add(replace(TABS, kind="failure"))  # another kind is another fact


def test_what_has_expired_is_neither_recalled_nor_listed_and_is_purged(store: Store) -> None:
    store.add(OLD)
    store.add(PORT)
    assert texts(store.recall("port of the server", 5)) == [PORT.text]
    assert texts(store.entries()) == [PORT.text]
    assert store.known(OLD.key)
    assert store.purge() == 1
    assert store.known(OLD.key) is None
    assert store.purge() == 0


def test_an_update_of_what_was_read_counts_its_versions(store: Store) -> None:
    store.add(TABS)
    seen = store.entries()[0]
    store.update(replace(seen, text="Makefiles are indented with tabs, and so is Go", name="tabs"))
    now = store.recall("go", 5)[0]
    assert (now.id, now.version) == (seen.id, seen.version + 1)


def test_an_update_of_what_somebody_else_has_written_since_is_stale(store: Store) -> None:
    store.add(TABS)
    seen = store.entries()[0]
    store.update(replace(seen, about="first"))
    with pytest.raises(Stale):
        store.update(replace(seen, about="second"))
    assert store.entries()[0].about == "first"


def test_an_update_of_what_is_forgotten_is_stale(store: Store) -> None:
    store.add(TABS)
    seen = store.entries()[0]
    store.forget(seen)
    with pytest.raises(Stale):
        store.update(seen)


def test_what_is_forgotten_is_gone_and_can_be_learnt_again(store: Store) -> None:
    store.add(TABS)
    store.add(PORT)
    store.forget(store.recall("tabs", 1)[0])
    assert texts(store.entries()) == [PORT.text]
    assert store.add(TABS)
    store.clear()
    assert store.entries() == []


def test_a_known_fact_stays_as_it_is_when_an_agent_repeats_it(store: Store) -> None:
    ends = time.time() + 60
    assert keep(store, replace(PORT, expires_at=ends), time.time())
    assert not keep(store, replace(PORT, expires_at=ends + 1000), time.time())
    assert store.entries()[0].expires_at == ends


def test_a_known_fact_that_has_expired_or_whose_files_have_changed_is_learnt_anew(store: Store) -> None:
    assert keep(store, OLD, time.time())
    assert keep(store, replace(OLD, expires_at=9e9), time.time())
    assert keep(store, TABS, time.time())
    assert keep(store, replace(TABS, files={"Makefile": "2" * 40}), time.time())
    assert {memory.text: (memory.version, memory.files) for memory in store.entries()} == {OLD.text: (2, {}), TABS.text: (2, {"Makefile": "2" * 40})}


@pytest.mark.parametrize("store", ["lexical", "semantic"], indirect=True)
def test_mem0_does_what_adw_stands_on(store: Store) -> None:
    m, scope, now = store._api, {"user_id": SCOPE}, time.time()  # type: ignore[attr-defined]  # noqa: SLF001
    for number, kind in enumerate(["decision", "failure", "decision"]):
        m.add(
            f"fact {number} of the port", infer=False, **scope, metadata={"kind": kind, "key": str(number), "version": 1, "expires_at": now + 60 * (number - 1)}
        )
    found = m.search("which port", filters={**scope, "expires_at": {"gt": now}}, top_k=5, threshold=0.0)["results"]
    assert [one["memory"] for one in found] == ["fact 2 of the port"]
    assert found[0].keys() >= {"id", "memory", "score", "created_at", "user_id", "metadata"}
    assert found[0]["metadata"].items() >= {"kind": "decision", "key": "2", "version": 1, "expires_at": now + 60}.items()
    assert len(m.get_all(filters={**scope, "kind": "decision"}, top_k=50)["results"]) == 2
    assert len(m.get_all(filters={**scope, "expires_at": {"lte": now}}, top_k=50)["results"]) == 2
    name = found[0]["id"]
    m.update(name, text="another port", metadata={"version": 2})
    assert (m.get(name)["memory"], m.get(name)["metadata"]["version"], m.get(name)["metadata"]["kind"]) == ("another port", 2, "decision")
    m.delete(name)
    assert m.get(name) is None
    m.delete_all(**scope)
    assert m.get_all(filters=scope, top_k=50)["results"] == []


@pytest.mark.parametrize("mode", ["lexical", "platform"])
def test_repositories_see_nothing_of_each_other(mode: str, home: Path, api: Api) -> None:
    mine, theirs = (opened(mode, home / "memory", api, scope) for scope in ("repo:mine", "repo:theirs"))
    mine.add(TABS)
    assert theirs.recall("tabs", 5) == theirs.entries() == []
    assert theirs.add(TABS)
    theirs.clear()
    assert texts(mine.entries()) == [TABS.text]


def test_many_pages_of_the_platform_are_read_to_the_end(home: Path, api: Api) -> None:
    store = opened("platform", home, api)
    for number in range(stores.PAGE + 5):
        store.add(Memory(text=f"fact {number}", kind="convention", expires_at=9e9 if number else 1.0))
    assert len(store.entries()) == stores.PAGE + 4
    assert [path for method, path, _ in api.asked if (method, path) == ("POST", "/v3/memories/")][-2:]


def test_what_others_keep_in_the_same_place_is_none_of_ours(home: Path, api: Api) -> None:
    store = opened("platform", home, api)
    api.kept["x"] = {"id": "x", "memory": "likes pizza with tabs", "user_id": SCOPE, "metadata": None}
    store.add(TABS)
    assert texts(store.recall("tabs", 5)) == texts(store.entries()) == [TABS.text]


def test_a_wrong_key_of_the_platform_is_told_by_mem0(home: Path, api: Api) -> None:  # noqa: ARG001 - for the folder of Mem0
    with pytest.raises(ValueError, match="Given token not valid"):
        stores.platform("wrong", SCOPE, api.url)


def test_mem0_asks_nobody_outside_and_writes_only_below_adws_folder(home: Path, tmp_path: Path) -> None:
    program = """
import socket, sys
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: (_ for _ in ()).throw(SystemExit(f"asked for {host}"))
from adw.memory import stores
from adw.memory.model import Memory
store = stores.lexical(stores.place(), "repo:1")
store.add(Memory(text="one", kind="command"))
assert store.recall("one", 1)
"""
    env = {"HOME": str(tmp_path / "empty"), "ADW_HOME": str(home), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "empty").exists()
    assert sorted(path.name for path in home.iterdir()) == ["mem0", "memory"]


@pytest.mark.parametrize("command", [["--help"], ["memory", "--help"], ["status", "--help"]])
def test_a_command_that_needs_no_memory_does_not_import_it(command: list[str]) -> None:
    program = "import sys\nfrom adw.cli.main import app\ntry: app()\nexcept SystemExit: pass\nassert 'mem0' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", program, *command], capture_output=True, check=False).returncode == 0


def test_what_is_told_keeps_within_its_number_and_its_tokens() -> None:
    short, long = Memory(text="s" * 400, kind="file"), Memory(text="l" * 4000, kind="file")
    assert list(within([short, long, short, short], 2, 500)) == [short, short]
    assert list(within([long, short], 5, 200)) == [short]
    assert list(within([short], 0, 500)) == []

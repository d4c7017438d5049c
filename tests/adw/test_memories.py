"""`adw memory`, as a person uses it."""

import io
import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adw.cli import memories
from adw.cli.main import app
from adw.config import Config, MemoryConfig, parse
from adw.errors import AdwError, Misuse
from adw.memory import stores
from adw.memory.model import Memory
from adw.memory.partition import partition
from adw.mirror import Hub
from tests.conftest import Repository


def adw(repository: Repository, *args: str) -> str:
    """What a command prints; what it raises is raised."""
    command, *rest = args
    done = CliRunner().invoke(app, ["memory", command, "--repo", str(repository.path), *rest], catch_exceptions=False, standalone_mode=False)
    return done.output


def exported(repository: Repository) -> list[dict[str, object]]:
    return [json.loads(line) for line in adw(repository, "export").splitlines()]


def test_what_a_person_adds_is_listed_found_exported_and_lasts(repository: Repository, hub: Hub) -> None:  # noqa: ARG001 - it has a home
    assert adw(repository, "list") == "nothing is remembered of this repository\n"
    assert adw(repository, "add", "Money is Decimal").startswith("remembered as ")
    assert adw(repository, "add", "money is  decimal").startswith("known already, as ")
    assert "Money is Decimal" in adw(repository, "list")
    assert "ever" in adw(repository, "list")
    assert "Money is Decimal" in adw(repository, "search", "a decimal discount")
    assert adw(repository, "search", "whales") == "nothing that is remembered fits\n"
    (one,) = exported(repository)
    assert (one["text"], one["kind"], one["source"]) == ("Money is Decimal", "convention", "person")
    assert json.loads(adw(repository, "list", "--json")) == [one]
    assert json.loads(adw(repository, "search", "decimal", "--json", "--kind", "convention")) == [one]
    assert json.loads(adw(repository, "search", "decimal", "--json", "--kind", "failure")) == []


def test_a_memory_may_be_about_files_that_are_on_the_branch(repository: Repository, hub: Hub) -> None:
    adw(repository, "add", "it holds a number", "--kind", "file", "--file", "code.txt")
    assert exported(repository)[0]["files"] == hub.git.blobs(hub.tip(), ["code.txt"])
    with pytest.raises(Misuse, match="there is no file 'code' on main"):
        adw(repository, "add", "it holds none", "--file", "code")


def test_memories_are_forgotten_by_the_beginning_of_their_ids_or_all_at_once(repository: Repository, hub: Hub) -> None:  # noqa: ARG001
    for text in ("one", "two", "three"):
        adw(repository, "add", text)
    newest = str(exported(repository)[0]["id"])
    assert adw(repository, "forget", newest[:8]) == "forgotten\n"
    assert [one["text"] for one in exported(repository)] == ["two", "one"]
    with pytest.raises(Misuse, match=f"no memory has an id that begins with '{newest[:8]}'"):
        adw(repository, "forget", newest[:8])
    with pytest.raises(Misuse, match="several memories have ids that begin with ''"):
        adw(repository, "forget", "")
    adw(repository, "forget", "--all")
    assert exported(repository) == []


@pytest.mark.parametrize("args", [["forget"], ["forget", "1", "--all"]])
def test_what_to_forget_must_be_said_in_one_way(repository: Repository, hub: Hub, args: list[str]) -> None:  # noqa: ARG001
    with pytest.raises(Misuse, match="name the memories to forget by their ids"):
        adw(repository, *args)


def test_a_memory_may_come_from_standard_input(repository: Repository, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setattr("sys.stdin", io.StringIO("from a pipe\n"))
    memories.add(repository.path, "-", "command", [])
    assert [(one["text"], one["kind"]) for one in exported(repository)] == [("from a pipe", "command")]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["add", "the password: hunter2"], "not remembered, as there is a value that is named like a secret in it"),
        (["add", " "], "a memory has 1 to 2000 characters, and this one 0"),
        (["add", "x" * 2001], "a memory has 1 to 2000 characters, and this one 2001"),
        (["add", "x", "--kind", "prophecy"], "there is no kind 'prophecy' of memories: name one of decision, failure, convention, command, file"),
        (["list", "--kind", "prophecy"], "there is no kind 'prophecy'"),
        (["search", " "], "there is nothing to look for"),
    ],
)
def test_what_makes_no_sense_is_told(repository: Repository, hub: Hub, args: list[str], said: str) -> None:  # noqa: ARG001
    with pytest.raises(Misuse, match=said):
        adw(repository, *args)


def test_where_the_memory_is_off_that_is_told(repository: Repository, hub: Hub) -> None:
    (repository.path / "adw.toml").write_text('[memory]\nmode = "off"\n')
    with pytest.raises(Misuse, match=r"the memory of this repository is off: set memory\.mode in adw\.toml"):
        adw(repository, "list")
    assert memories.state(hub, hub.config()) == "off (memory.mode in adw.toml)"


def test_a_memory_that_cannot_be_used_is_an_error_that_names_the_place(repository: Repository, hub: Hub) -> None:
    stores.place().write_text("no folder")
    with pytest.raises(AdwError, match=f"the memory in {stores.place()} cannot be used: .*File exists"):
        adw(repository, "list")
    with pytest.raises(AdwError, match="cannot be used"):
        memories.state(hub, Config())


def test_what_mem0_cannot_do_is_told_in_its_words(repository: Repository, hub: Hub) -> None:  # noqa: ARG001
    (repository.path / "adw.toml").write_text('[memory]\nmode = "semantic"\n[memory.semantic.vector_store]\nprovider = "abacus"\n')
    with pytest.raises(AdwError, match=r"(?s)^the memory \(semantic\) cannot be used: .*abacus"):
        adw(repository, "list")


def test_doctor_says_how_many_memories_there_are(repository: Repository, hub: Hub) -> None:  # noqa: ARG001
    stores.lexical(stores.place(), partition(hub)).add(Memory(text="one", kind="command"))
    assert memories.state(hub, Config()) == "lexical, 1 memory of this repository"


def test_a_secret_of_the_memory_is_taken_from_the_environment_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "MEM0_API_KEY", "m0-key")
    config = Config(memory=MemoryConfig(mode="platform", secrets={"MEM0_API_KEY": "mem0"}))
    assert memories._secrets(config) == {"MEM0_API_KEY": "m0-key"}  # noqa: SLF001


SEMANTIC = '[memory]\nmode = "semantic"\n[memory.semantic.embedder]\nprovider = "openai"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[memory]\nmode = "magic"', "adw.toml: `memory.mode`: input should be 'lexical', 'semantic', 'platform' or 'off' (it is 'magic')"),
        ('[memory]\nmode = "semantic"', "`semantic` needs mem0's own configuration in memory.semantic"),
        ('[memory]\nmode = "platform"', "`platform` needs a key: name a prefect secret"),
        ("[memory]\nttl = { file = 0 }", "`memory.ttl.file`: input should be greater than 0"),
        ("[memory]\nttl = { prophecy = 5 }", "`memory.ttl.prophecy`: input should be 'decision'"),
        ("[memory]\ntopk = 5", "unknown key `memory.topk`"),
        (f'{SEMANTIC}config = {{ api_key = "sk-very-secret" }}', "`memory.semantic`: api_key is a secret: leave it out, and name a Prefect Secret"),
        (f'{SEMANTIC}config = {{ connection_string = "postgresql://ada:pw-secret@db/x" }}', "connection_string is a secret"),
    ],
)
def test_a_wrong_setting_is_told_and_a_secret_is_not(text: str, said: str) -> None:
    with pytest.raises(Misuse) as no:
        parse(text, "adw.toml")
    assert said in str(no.value)
    assert "very-secret" not in str(no.value)
    assert "pw-secret" not in str(no.value)


def test_mem0s_own_configuration_is_passed_on_as_it_is() -> None:
    given = parse(f'{SEMANTIC}config = {{ model = "m", embedding_dims = 8 }}\n', "adw.toml").memory.semantic
    assert given == {"embedder": {"provider": "openai", "config": {"model": "m", "embedding_dims": 8}}}


def test_kinds_last_as_long_as_is_said_and_else_as_they_do(tmp_path: Path) -> None:  # noqa: ARG001
    config = parse("[memory]\nttl = { decision = 60 }", "adw.toml").memory
    assert (config.lasts("decision"), config.lasts("file")) == (60, 3600)

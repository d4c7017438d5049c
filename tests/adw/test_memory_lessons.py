"""What is learnt from what phases return, whose memories are whose, and what a phase asks for."""

import pytest

from adw.config import Config, PoolConfig
from adw.memory import lessons
from adw.memory.partition import address, partition
from adw.memory.question import question
from adw.mirror import Hub
from adw.model import Attempt, Change, Finding, Issue, Learnt, Plan
from tests.conftest import Repository

ISSUE = Issue(id="i1", title="Add retry", body="to the client")
SHA = "3f786850e387550fdab836ed7e6dc881de23001b"
LOG = (
    "the tests fail:\ncollected 90 items\n"
    + "tests/test_a.py .....\n" * 500
    + "E   AssertionError: assert 2 == 3\nFAILED tests/test_retry.py::test_backoff\n1 failed in 3 s"
)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/ada/code.git",
        "https://ada:token@github.com/ada/code",
        "ssh://git@GitHub.com:22/ada/code.git/",
        "git@github.com:ada/code.git",
        "github.com:ada/code",
    ],
)
def test_all_clones_of_a_repository_share_its_memories_whatever_their_credentials(url: str) -> None:
    assert address(url) == "github.com/ada/code"


def test_a_repository_without_an_origin_has_memories_of_its_own(repository: Repository, hub: Hub, origin: Repository) -> None:
    with_origin = partition(hub)
    repository.git("remote", "set-url", "origin", f"file://{origin.path}")
    assert partition(hub) == with_origin
    repository.git("remote", "remove", "origin")
    assert partition(hub) != with_origin
    assert partition(hub).startswith("repo:")
    assert " " not in partition(hub)


def test_a_failure_is_learnt_with_its_telling_lines_and_the_commit_that_mended_it() -> None:
    (one,) = lessons.of_noes(ISSUE, [f"{LOG}{lessons.EARLIER}{SHA} (`git show {SHA}`).", LOG], SHA, ["a.py", "test_a.py"])
    assert "the tests fail:" in one.text
    assert "E   AssertionError: assert 2 == 3\nFAILED tests/test_retry.py::test_backoff" in one.text
    assert "tests/test_a.py ....." not in one.text
    assert "`git show 3f786850e3`), which changed a.py, test_a.py." in one.text
    assert len(one.text) < 2000
    assert (one.kind, one.source, one.about) == ("failure", "agent", "i1")


def test_a_no_of_a_person_is_a_persons_word() -> None:
    (one,) = lessons.of_noes(ISSUE, ["a person did not approve the change: it is too slow"], SHA, [])
    assert one.source == "person"


def test_findings_that_were_mended_are_learnt_with_the_file_as_it_landed() -> None:
    found = [Finding(file="a.py", line=3, severity="error", text="times must be in UTC"), Finding(file="gone.py", line=0, severity="error", text="no")]
    one, other = lessons.of_findings(ISSUE, found, {"a.py": "1" * 40})
    assert "in a.py, and it was mended: times must be in UTC" in one.text
    assert (one.kind, one.source, one.files, other.files) == ("convention", "agent", {"a.py": "1" * 40}, {})


def test_what_an_agent_found_out_is_marked_as_its_word_and_a_fact_of_no_file_is_none() -> None:
    learnt = (
        Learnt(kind="command", text="`make fast` runs\nhalf of the tests"),
        Learnt(kind="file", text="it holds the clock", files=("a.py", "no.py")),
        Learnt(kind="file", text="it is not there", files=("no.py",)),
        Learnt(kind="convention", text=" "),
    )
    one, other = lessons.of_plan(ISSUE, Plan(text="p", learnt=learnt), {"a.py": "1" * 40})
    assert (one.kind, one.source, one.text) == ("command", "agent", "`make fast` runs half of the tests")
    assert (other.kind, other.source, other.files) == ("file", "agent", {"a.py": "1" * 40})


def test_a_landing_is_a_decision_and_shows_which_commands_work() -> None:
    checks = {"lint": {"command": "ruff check"}, "slow": {"command": "x", "required": False}}
    config = Config.model_validate({"test": {"command": "make test"}, "checks": checks, "pool": {"setup": "npm ci"}})
    found = list(lessons.of_landing(ISSUE, Plan(text="Use tenacity.\n\n- and more"), SHA, ["a.py"], ["not by hand"], config))
    assert [(one.kind, one.source) for one in found] == [("decision", "agent"), ("decision", "person"), ("command", "adw"), ("command", "adw")]
    assert found[0].text == "“Add retry” landed as commit 3f786850e3, and changed a.py. The plan was: Use tenacity."
    assert "a person said: not by hand" in found[1].text
    assert [one.text for one in found[2:]] == [
        "`npm ci` sets a work tree up before an agent works in it.",
        "`ruff check` is the check lint, and what lands passes it.",
    ]
    assert found[2].key == list(lessons.of_landing(ISSUE, Plan(text="p"), SHA, [], [], Config(pool=PoolConfig(setup="npm ci"))))[1].key


def test_of_many_files_some_are_named() -> None:
    assert lessons.named([f"{n}.py" for n in range(20)]) == "0.py, 1.py, 2.py, 3.py, 4.py, 5.py, 6.py, 7.py and 12 more"
    assert lessons.named([]) == "no file"


@pytest.mark.parametrize("log", ["", "\n \n", "one line", "ok\n" * 5000])
def test_a_no_without_telling_lines_is_its_end(log: str) -> None:
    assert len(lessons.telling(log)) <= 1500
    assert lessons.telling(log).startswith(log.strip().partition("\n")[0])


def test_a_phase_asks_by_what_it_is_given_and_at_the_commit_that_it_begins_on(repository: Repository, hub: Hub) -> None:
    base = hub.tip()
    new = repository.commit("more", **{"clock.py": "x"})
    hub.mirror.fetch(repository.path, "refs/heads/main")
    attempt = Attempt(number=2, base=base, base_tree=hub.mirror.tree_of(base), feedback="the tests fail:\nE   Error: port in use")
    assert question(hub.mirror, ISSUE, attempt) == ("Add retry\nto the client", base)
    built, at = question(hub.mirror, ISSUE, Plan(text="how", files=("a.py",)), attempt)
    assert (built.splitlines(), at) == (["Add retry", "the tests fail:", "E   Error: port in use", "a.py", "Add retry", "to the client", "how"], base)
    change = Change(sha=new, tree=hub.mirror.tree_of(new), base=base, base_tree=hub.mirror.tree_of(base))
    assert question(hub.mirror, ISSUE, change, 1) == ("Add retry\nclock.py\nAdd retry\nto the client", base)

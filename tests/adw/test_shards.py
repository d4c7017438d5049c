"""How tests are shared out, and what comes of their parts."""

import os
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from adw import durations, phases, shards
from adw.config import override
from adw.errors import AgentFailed
from adw.journal import Journal
from adw.lock import try_lock
from adw.mirror import Hub
from adw.model import Candidate, Issue, Order, Shard, Split, Verdict
from adw.phases import Site
from adw.shards import shared_out, together, weighed
from adw.testing import exclusive
from tests.conftest import Repository, make_site

UNIT = {"command": "ls {files}", "split": "tests/**/test_*.py"}


def grouped(site: Site, **groups: dict[str, object]) -> Site:
    return replace(site, config=override(site.config, test__groups=groups))


@pytest.fixture
def candidate(repository: Repository, hub: Hub, site: Site) -> Candidate:
    """A branch with some test files."""
    files = {f"tests__{name}": "x" for name in ("test_b.py", "deep__test_a.py", "conf.py", "test_it's b.py")}
    tip = repository.commit("tests", **files)
    hub.tip()
    return phases.base_candidate(site, tip)


def test_files_are_shared_out_evenly_by_the_time_they_take() -> None:
    seconds = {"a": 60.0, "b": 40.0, "c": 30.0, "d": 20.0, "e": 30.0}
    assert shared_out(seconds, 3) == [["a"], ["b", "d"], ["c", "e"]]


def test_what_is_short_is_not_shared_out() -> None:
    assert shared_out(dict.fromkeys("abcdef", 0.1), 10) == [list("abcdef")]
    assert len(shared_out(dict.fromkeys("abcdef", 2.0), 10)) == 2


def test_no_command_gets_longer_than_the_kernel_takes() -> None:
    sets = shared_out({f"{'x' * 200}{number}": 0.0 for number in range(1000)}, 2)
    assert max(len(shlex.join(files)) for files in sets) < 128 * 1024


def test_a_file_of_which_nothing_is_known_takes_what_the_others_take() -> None:
    assert weighed(["a", "b", "c"], {"a": 4.0, "b": 8.0}) == {"a": 4.0, "b": 8.0, "c": 6.0}


def journal(hub: Hub, number: int, *told: tuple[str, tuple[str, ...], str, float]) -> None:
    """A run that began after those of lower numbers, with shards of groups, how they ended and their seconds."""
    run = Journal(hub.place.runs / f"past{number}")
    run.keep({})
    os.utime(run.order_file, (number, number))
    for group, files, state, seconds in told:
        shard = Shard(name=f"test-{group}-1", group=group, files=files)
        run.phase(Order(run="r", issue="a", issue_key="a-1", phase=shard.name), state, seconds=seconds, **shards.told(shard))


def test_what_a_file_takes_is_its_share_of_the_smallest_shard_it_was_in(hub: Hub) -> None:
    journal(hub, 1, ("unit", ("a", "b"), "done", 10.0), ("unit", ("c",), "done", 7.0))
    journal(hub, 2, ("unit", ("a", "b", "x"), "done", 9.0), ("unit", ("a",), "done", 8.0), ("unit", ("b",), "no", 99.0), ("other", ("a",), "done", 1.0))
    assert durations.modules(hub.place, "unit", ["a", "b", "c", "d"]) == {"a": 8.0, "b": 3.0, "c": 7.0}


def test_a_group_that_is_not_split_is_learned_as_a_whole(hub: Hub, site: Site, issue: Issue, candidate: Candidate) -> None:
    journal(hub, 1, ("db", (), "done", 12.0))
    split = shards.split(grouped(site, unit=UNIT, db={"command": "true"}), hub, issue, candidate, 5)
    assert split.shards[0] == Shard(name="test-db", group="db", seconds=12.0)


def test_a_group_of_which_nothing_is_known_begins_first(hub: Hub, site: Site, issue: Issue, candidate: Candidate) -> None:
    split = shards.split(grouped(site, unit=UNIT, db={"command": "true"}), hub, issue, candidate, 5)
    assert [shard.group for shard in split.shards][:2] == ["db", "unit"]


def test_a_group_is_split_by_the_files_that_the_candidate_has(hub: Hub, site: Site, issue: Issue, candidate: Candidate) -> None:
    split = shards.split(grouped(site, unit=UNIT), hub, issue, candidate, 5)
    assert sorted(shard.files for shard in split.shards) == [("tests/deep/test_a.py",), ("tests/test_b.py",), ("tests/test_it's b.py",)]
    assert sorted(shard.name for shard in split.shards) == ["test-unit-1", "test-unit-2", "test-unit-3"]


def test_the_same_code_is_split_the_same_whatever_is_learned_and_however_many_slots_there_are(hub: Hub, site: Site, issue: Issue, candidate: Candidate) -> None:
    site = grouped(site, unit=UNIT)
    first = shards.split(site, hub, issue, candidate, 1)
    journal(hub, 1, ("unit", ("tests/test_b.py",), "done", 100.0))
    again = shards.split(replace(site, run="r2"), hub, replace(issue, id="i2"), replace(candidate, onto="other"), 9)
    assert again == first
    assert shards.split(site, hub, issue, replace(candidate, code=candidate.tree), 9) != first


def test_a_group_without_files_is_told_with_its_pattern(hub: Hub, site: Site, issue: Issue, candidate: Candidate) -> None:
    with pytest.raises(AgentFailed, match=r"there is no file spec/\*\.py \(`split` of \[test\.groups\.unit\]"):
        shards.split(grouped(site, unit={**UNIT, "split": "spec/*.py"}), hub, issue, candidate, 5)


def test_a_shard_runs_its_files_whatever_they_are_called(hub: Hub, issue: Issue, site: Site, candidate: Candidate) -> None:
    site = grouped(make_site(hub, "x"), unit={"command": 'echo "$ADW_PHASE/$ADW_PART"; ls {files}', "split": "tests/*.py"})
    shard = Shard(name="test-unit-1", group="unit", files=("tests/test_it's b.py", "tests/test_b.py"))
    verdict, about = shards.run(site, issue, shard, candidate, 1)
    assert (verdict.passed, about) == (True, candidate.sha)
    assert verdict.log.splitlines() == ["test/unit-1", "tests/test_b.py", "tests/test_it's b.py"]


def test_the_key_of_a_shard_changes_with_code_command_files_and_setup(hub: Hub, candidate: Candidate) -> None:
    site, shard = grouped(make_site(hub, "x"), unit=UNIT), Shard(name="test-unit-1", group="unit", files=("a", "b"))
    keys = [
        shards.shard_key(site, shard, candidate),
        shards.shard_key(site, replace(shard, files=("a",)), candidate),
        shards.shard_key(site, shard, replace(candidate, code="other")),
        shards.shard_key(grouped(make_site(hub, "x"), unit={**UNIT, "command": "cat {files}"}), shard, candidate),
        shards.shard_key(grouped(make_site(hub, "x", setup="make"), unit=UNIT), shard, candidate),
    ]
    assert len(set(keys)) == len(keys)
    assert shards.shard_key(replace(site, run="r9"), replace(shard, seconds=9.0), replace(candidate, sha="1", onto="2", tree="3")) == keys[0]


def test_all_that_fail_are_told_with_their_logs() -> None:
    split = Split(shards=tuple(Shard(name=f"test-{name}", group=name) for name in "abcd"))
    said = dict(zip(split.shards, [Verdict(passed=False, log="one"), Verdict(passed=True, log="two"), Verdict(passed=False, log="three")], strict=False))
    verdict = together(split, said, {})
    assert (verdict.passed, verdict.flaky) == (False, False)
    assert verdict.log == "test-a: no\ntest-b: passed\ntest-c: no\ntest-d: stopped, as others failed\n\ntest-a:\none\n\ntest-c:\nthree"


def test_a_test_is_flaky_if_a_part_of_it_is_and_none_fails() -> None:
    split = Split(shards=tuple(Shard(name=f"test-{name}", group=name) for name in "ab"))
    flaky = Verdict(passed=True, log="both", flaky=True)
    for other, expected in ((Verdict(passed=True, log=""), (True, True)), (Verdict(passed=False, log=""), (False, False))):
        verdict = together(split, dict(zip(split.shards, [flaky, other], strict=True)), {})
        assert (verdict.passed, verdict.flaky) == expected
        assert "test-a:\nboth" in verdict.log


def test_what_is_exclusive_is_held_for_the_block_and_given_back(home: Path) -> None:
    with exclusive(["postgres", "redis", "postgres"]) as held:
        assert len(held) == 2
        assert try_lock(home / "exclusive" / "postgres") is None
    for name in ("postgres", "redis"):
        file = try_lock(home / "exclusive" / name)
        assert file
        file.close()

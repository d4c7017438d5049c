"""Phases that are done in pieces, each in a slot of its own. They are those of Prefect's tasks, run in threads without it."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adw import phases, results
from adw.config import override
from adw.durations import GUESS
from adw.errors import AgentFailed, Interrupted, Misuse
from adw.forecast import Forecast
from adw.lock import try_lock
from adw.mirror import Hub, find_hub
from adw.model import Attempt, Candidate, Change, Issue, Item, Plan, Verdict
from adw.rank import Rank
from adw.sessions import Shelf
from adw.train import Train
from flows import shards
from flows.checks import Checks
from flows.parts import built
from flows.places import Offer, Places, Wish
from flows.rails import Rails
from flows.shards import base_tested
from tasks import phases as tasks
from tests.adw.tools import until
from tests.conftest import Repository, make_site
from tests.flows.stories import Direct, Stage, Story, Wanted, acted
from tests.flows.test_many import LIMIT, left_over

ISSUE = Issue(id="a", title="Add a", body="")
PLAN = Plan(text="all", items=tuple(Item(title=f"item {n}", files=(f"{n}.txt",)) for n in (1, 2, 3)))
WRITES = 'echo "$ADW_PART" > "$ADW_PART.txt"'


class Bench(Direct):
    """Work on the one issue, in slots enough."""

    def agent(self, line: str) -> None:
        self.site = replace(self.site, config=override(self.site.config, agent__command=line))

    def tests(self, *, fail_fast: bool = False, flaky: str = "pass", **groups: dict[str, Any]) -> Checks:
        self.site = replace(self.site, config=override(self.site.config, test__groups=groups, test__fail_fast=fail_fast, test__flaky=flaky))
        self.checks = Checks(self)
        return self.checks

    def attempt(self, **more: str) -> Attempt:
        tip = self.hub.tip()
        return Attempt(number=1, base=tip, base_tree=self.hub.mirror.tree_of(tip), **more)

    def build(self, plan: Plan = PLAN, **more: str) -> Change:
        return built(self, ISSUE, plan, self.attempt(**more))

    def candidate(self) -> Candidate:
        """The branch as it is, as something that an issue would land as."""
        return phases.base_candidate(self.site, self.hub.tip())

    def ended(self, phase: str = "") -> list[tuple[str, str]]:
        """How the phases ended, in order."""
        return [(event["phase"], event["state"]) for event in self.events("phase") if event["state"] != "running" and event["phase"].startswith(phase)]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.journal.events()[0] if event["event"] == kind]


@pytest.fixture
def bench(hub: Hub) -> Iterator[Bench]:
    (hub.place.runs / "r1").mkdir(parents=True)
    site, places = make_site(hub, WRITES, size=8), Places()
    places.update({"here": Offer(8)})
    made = Bench(site, hub, site.journal(), {}, places, {})
    made.train = Train(Rails(made), lambda: 8, [], hub.tip())
    made.forecast = Forecast([], {})
    with places.watched(lambda: None):
        yield made


def names(bench: Bench, change: Change) -> list[str]:
    return bench.hub.mirror.touched(change.base_tree, change.tree)


def test_parts_are_built_side_by_side_and_are_one_change(bench: Bench, tmp_path: Path) -> None:
    meet = f"touch {tmp_path}/$ADW_PART; until [ -e {tmp_path}/1 -a -e {tmp_path}/2 -a -e {tmp_path}/3 ]; do sleep 0.05; done"
    bench.agent(f"{meet}; {WRITES}")
    change = bench.build()
    assert names(bench, change) == ["1.txt", "2.txt", "3.txt"]
    assert bench.hub.mirror.run("rev-list", "--count", f"{change.base}..{change.sha}") == "1"
    assert Counter(bench.ended("build")) == Counter([("build-1", "done"), ("build-2", "done"), ("build-3", "done"), ("build", "done")])
    assert [event["reason"] for event in bench.events("divided")] == ["3 items touch 3 separate groups of files"]
    cell = bench.journal.progress()
    assert (cell.ran, {phase for _, _, phase in cell.took}) == (3, {"build-1", "build-2", "build-3"})


def test_what_was_built_in_parts_is_found_as_any_build_is(bench: Bench) -> None:
    change = bench.build()
    bench.agent("exit 1")
    key = phases.build_key(make_site(bench.hub, WRITES), ISSUE, PLAN, bench.attempt())
    assert results.find(bench.hub, "build", key, Change) == change
    bench.agent(WRITES)
    assert bench.build() == change
    assert Counter(name for name, state in bench.ended("build") if state == "done") == Counter(["build-1", "build-2", "build-3", "build"])


def test_what_is_left_to_be_done_is_one_agents_and_is_told(bench: Bench) -> None:
    bench.agent(f'{WRITES}; [ "$ADW_PART" != 2 ] || echo mine > 1.txt; [ "$ADW_PART" != integrate ] || {{ cat *.txt | sort > all; echo 1 > 1.txt; }}')
    change = bench.build()
    assert names(bench, change) == ["1.txt", "3.txt", "all", "integrate.txt"]
    assert bench.hub.mirror.text(change.sha, "1.txt") == "1\n"
    assert bench.hub.mirror.text(change.sha, "all") == "1\n3\nintegrate\none\n"  # what conflicts is not in its files
    [event] = bench.events("integrated")
    assert event["left"] == [
        "item 2: it conflicts with parts before it in 1.txt, and is not in these files yet",
        "item 2: its agent touched 1.txt, which is another part's",
    ]
    assert ("build-integrate", "done") in bench.ended("build")


def test_a_part_that_fails_fails_the_try_and_ends_the_others(bench: Bench, tmp_path: Path) -> None:
    bench.agent(
        f'[ "$ADW_PART" != 2 ] || {{ until [ -e {tmp_path}/1 ]; do sleep 0.05; done; echo "cannot do it"; exit 1; }}; touch {tmp_path}/$ADW_PART; sleep 600'
    )
    with pytest.raises(AgentFailed, match=r"^item 2: .*(?s:.*)cannot do it"):
        bench.build()
    assert Counter(bench.ended("build")) >= Counter([("build-1", "cut"), ("build-2", "failed"), ("build", "failed")])
    assert [Shelf.of(bench.hub.place, bench.site.order(ISSUE, f"build-{n}")).read() for n in (1, 2, 3)] == [None] * 3


def test_the_try_after_a_no_is_one_agents(bench: Bench) -> None:
    bench.agent("echo x > whole")
    assert names(bench, bench.build(feedback="it broke")) == ["whole"]
    assert bench.ended("build") == [("build", "done")]
    assert bench.events("divided") == []


@pytest.mark.parametrize("more", [{"parallel": False}, {"items": 4}])
def test_a_plan_that_is_not_worth_it_is_built_by_one_agent_and_that_is_told(bench: Bench, more: dict[str, Any]) -> None:
    bench.agent("echo x > whole")
    bench.site = replace(bench.site, config=override(bench.site.config, **{f"build__{name}": value for name, value in more.items()}))
    assert names(bench, bench.build()) == ["whole"]
    assert [(event["parts"], bool(event["reason"])) for event in bench.events("divided")] == [([], True)]


def test_a_build_that_is_killed_goes_on_with_the_parts_that_were_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("ADW_HOME", str(home))
    stage = Stage(tmp_path, Story((Wanted(parts=True),), slots=3))
    stage.set()
    mine = tmp_path / "story" / "i0"
    (mine / "wait").touch()
    process, hub = acted(stage, home, "r1"), find_hub(stage.hub)
    until(lambda: len(hub.git.refs("refs/adw/*/build-1/*")) + len(hub.git.refs("refs/adw/*/build-2/*")) == 2 and (mine / "begun-3").exists())
    process.kill()
    process.join()
    (mine / "go").touch()
    process = acted(stage, home, "r2")
    process.join(LIMIT)
    outcomes = json.loads((hub.place.runs / "r2" / "outcomes.json").read_text())
    assert [outcome["state"] for outcome in outcomes] == ["landed"]
    assert list(hub.git.refs("refs/adw/*/rescued-*").values())  # what the part that was interrupted had written
    assert {file.name: len(file.read_text().split()) for file in mine.glob("begun-*")} == {"begun-1": 1, "begun-2": 1, "begun-3": 2}
    assert left_over(home) == []
    for lock in hub.place.pool.glob("*/lock"):
        held = try_lock(lock)
        assert held
        held.close()
    assert [*hub.place.sessions.glob("*/*")] == []


UNIT = {"command": "grep -L bad {files} | wc -l | grep -qx $(echo {files} | wc -w) || { cat {files}; false; }", "split": "tests/*.txt"}


@pytest.fixture
def modules(repository: Repository, bench: Bench) -> Bench:
    """A branch with four modules of tests."""
    repository.commit("tests", **{f"tests__{name}.txt": f"{name} is good\n" for name in "abcd"})
    bench.hub.tip()
    return bench


def bad(repository: Repository, *which: str) -> None:
    repository.commit("bad", **{f"tests__{name}.txt": f"{name} is bad\n" for name in which})


def prove(bench: Bench) -> Verdict:
    return bench.checks.prove(ISSUE, bench.candidate(), 1)


def test_groups_are_one_verdict_of_the_test_and_run_once_for_the_same_code(modules: Bench, repository: Repository) -> None:
    modules.tests(unit=UNIT, db={"command": "true"})
    assert prove(modules).passed
    assert Counter(modules.ended()) == Counter([*[(f"test-unit-{n}", "done") for n in range(1, 5)], ("test-db", "done"), ("test", "done")])
    repository.commit("docs only", **{"README.md": "more"})
    modules.hub.tip()
    assert prove(modules).passed
    assert modules.ended()[-1] == ("test", "cached")
    assert len(modules.ended()) == 7
    assert (modules.journal.progress().ran, len(modules.journal.progress().took)) == (5, 5)


def test_what_is_done_of_a_test_is_not_done_again_by_another_run(modules: Bench) -> None:
    modules.tests(unit=UNIT, db={"command": "sleep 600"})
    modules.site = replace(modules.site, config=override(modules.site.config, test__minutes=0.02))
    with pytest.raises(AgentFailed, match="test-db command was stopped"):
        prove(modules)
    modules.tests(unit=UNIT, db={"command": "sleep 600 && true"})  # another group makes it another test, and the same shards
    with pytest.raises(AgentFailed):
        prove(modules)
    assert Counter(state for name, state in modules.ended("test-unit")) == Counter({"done": 4, "cached": 4})


def test_all_that_fail_are_told_with_their_logs(modules: Bench, repository: Repository) -> None:
    bad(repository, "b", "d")
    modules.tests(unit=UNIT, db={"command": "echo no db; false"}, web={"command": "true"})
    verdict = prove(modules)
    assert not verdict.passed
    assert all(words in verdict.log for words in ("the tests fail:", "b is bad", "d is bad", "no db", "test-web: passed", "test-db: no", "(tests/b.txt)"))
    assert "a is good" not in verdict.log


def test_a_shard_that_fails_stops_the_others_where_that_is_wanted(modules: Bench, repository: Repository) -> None:
    bad(repository, "b")
    modules.tests(fail_fast=True, unit=UNIT, slow={"command": "sleep 600"})
    verdict = prove(modules)
    assert not verdict.passed
    assert "b is bad" in verdict.log
    assert "test-slow: stopped, as others failed" in verdict.log
    assert ("test-slow", "cut") in modules.ended()


def test_what_is_flaky_counts_as_the_rule_says_and_only_its_shard_is_repeated(modules: Bench, tmp_path: Path) -> None:
    once = f"test -e {tmp_path}/once || {{ touch {tmp_path}/once; false; }}"
    modules.tests(unit=UNIT, shy={"command": once})
    assert prove(modules).passed
    assert Counter(modules.ended()) == Counter([*[(f"test-unit-{n}", "done") for n in range(1, 5)], ("test-shy", "flaky"), ("test", "flaky")])
    assert list(modules.journal.progress().flaky) == [("a", 1, "test-shy")]
    modules.tests(unit=UNIT, shy={"command": once}, flaky="refuse")
    assert not prove(modules).passed  # what is known counts anew


def test_groups_that_name_the_same_resource_never_run_at_the_same_time(modules: Bench, tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/alone && sleep 0.3 && rmdir {tmp_path}/alone"
    modules.tests(**{f"db{number}": {"command": f"{alone}; : {number}", "exclusive": ["postgres"]} for number in range(3)})
    assert prove(modules).passed


def test_a_test_that_nobody_wants_any_more_ends_with_all_its_shards(modules: Bench, tmp_path: Path) -> None:
    modules.tests(slow={"command": f"touch {tmp_path}/begun; sleep 600"}, slow2={"command": "sleep 600; true"})
    over, said = threading.Event(), list[BaseException]()

    def judged() -> None:
        try:
            modules.checks.prove(ISSUE, modules.candidate(), 1, over.is_set)
        except Interrupted as no:
            said.append(no)

    thread = threading.Thread(target=judged)
    thread.start()
    until((tmp_path / "begun").exists)
    over.set()
    thread.join(60)
    assert len(said) == 1
    assert modules.ended()[-1] == ("test", "cut")


def test_a_base_that_fails_is_told_and_looked_at_again(modules: Bench, tmp_path: Path) -> None:
    modules.tests(unit=UNIT, db={"command": f"test -e {tmp_path}/up"})
    with pytest.raises(Misuse, match=r"the tests fail on main as it is(?s:.*)test-db: failed"):
        base_tested(modules)
    (tmp_path / "up").touch()
    base_tested(modules)
    assert Counter(state for name, state in modules.ended("test-unit")) == Counter({"done": 4, "cached": 4})
    assert prove(modules).passed
    assert modules.ended()[-1] == ("test", "cached")


def test_a_base_whose_code_failed_as_a_candidate_is_looked_at_anew(modules: Bench, tmp_path: Path) -> None:
    modules.tests(unit=UNIT, db={"command": f"test -e {tmp_path}/up"})
    assert not prove(modules).passed
    (tmp_path / "up").touch()
    base_tested(modules)
    assert modules.ended()[-1] == ("test", "done")


def test_short_pieces_of_a_test_wait_for_a_long_review(bench: Bench) -> None:
    change, candidate = bench.build(), bench.candidate()
    bench.tests(**{name: {"command": "true"} for name in ("one", "two", "three")})
    bench.forecast = Forecast([ISSUE], {ISSUE.id: GUESS})  # 240 seconds for the test, that is 80 for each group, and 180 for the review
    bench.places.update({"here": Offer(1)})
    with bench.places.lent(Wish(issue="x", phase="plan", rank=lambda: Rank.of(ISSUE, "plan", 0, 0, front=False))):
        tested, reviewed = shards.submit(bench, ISSUE, candidate, 1), bench.submit(tasks.review, ISSUE, change, 1)
        until(lambda: bench.places.waiting == 4)
    bench.results([tested, reviewed])
    began = [event["phase"] for event in bench.events("phase") if event["state"] == "running" and event["phase"].startswith(("test-", "review"))]
    assert (began[0], len(began)) == ("review", 4)

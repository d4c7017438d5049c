from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE, CacheKeyFnPolicy
from prefect.client.schemas.objects import State
from prefect.states import Failed

from adw import checks, parts, shards
from adw import phases as real
from adw.config import override
from adw.errors import AdwError, GitBusy, Misuse, Transient
from adw.model import Attempt, Candidate, Change, Issue, Item, Plan, Shard, Verdict
from adw.parts import Part
from adw.phases import Site
from tasks import phases
from tests.adw.tools import family
from tests.conftest import Repository

CACHED: list[Task[Any, Any]] = [phases.plan, phases.build, phases.test, phases.review, phases.document]
OF_CHECKS: list[Task[Any, Any]] = [phases.check, phases.judge]
PIECES: list[Task[Any, Any]] = [phases.part, phases.integrate, phases.shard]
ALL: list[Task[Any, Any]] = [*CACHED, *OF_CHECKS, *PIECES, phases.test_base, phases.check_base, phases.shard_base, phases.land, phases.offer]


def given(site: Site) -> dict[str, Any]:
    """All that any of the phases takes."""
    change = Change(sha="1" * 40, tree="2" * 40, base="3" * 40, base_tree="4" * 40)
    return {
        "site": site,
        "issue": Issue(id="a", title="t", body="b"),
        "attempt": Attempt(number=1, base="3" * 40, base_tree="4" * 40),
        "plan": Plan(text="p"),
        "change": change,
        "candidate": Candidate(sha="1" * 40, tree="2" * 40, onto="3" * 40, code="5" * 40),
    }


@pytest.mark.parametrize("kind", family())
def test_a_failure_is_tried_again_only_if_it_is_transient(kind: type[AdwError]) -> None:
    state: State[Any] = Failed(data=kind("no"))
    assert phases.transient(None, None, state) is issubclass(kind, Transient)


@pytest.mark.parametrize("no", [ValueError("bug"), KeyboardInterrupt(), None])
def test_a_bug_is_not_tried_again(no: BaseException | None) -> None:
    assert phases.transient(None, None, Failed(data=no)) is False


@pytest.mark.parametrize("task", ALL, ids=lambda task: task.name)
def test_each_task_is_tried_again_by_that_condition(task: Task[Any, Any]) -> None:
    assert (task.retry_condition_fn, task.retries) == (phases.transient, 2)
    assert phases.transient(task, None, Failed(data=GitBusy("lock")))


@pytest.mark.parametrize("task", CACHED, ids=lambda task: task.name)
def test_each_cached_task_keeps_its_result_under_its_phases_key(task: Task[Any, Any], site: Site) -> None:
    assert isinstance(task.cache_policy, CacheKeyFnPolicy)
    assert task.persist_result is True
    key = task.cache_policy.cache_key_fn(None, given(site))  # type: ignore[misc, arg-type]
    assert key is not None
    assert key.startswith(f"{task.name}-")


def test_the_keys_are_those_that_git_holds_results_by(site: Site) -> None:
    it = given(site)
    assert phases.by_plan(None, it) == "plan-" + real.plan_key(site, it["issue"], it["attempt"])
    assert phases.by_build(None, it) == "build-" + real.build_key(site, it["issue"], it["plan"], it["attempt"])
    assert phases.by_test(None, it) == "test-" + real.test_key(site, it["candidate"])
    assert phases.by_review(None, it) == "review-" + real.review_key(site, it["issue"], it["change"])
    assert phases.by_document(None, it) == "document-" + real.document_key(site, it["issue"], it["change"])


@pytest.mark.parametrize("task", OF_CHECKS, ids=lambda task: task.fn.__name__)
def test_a_check_is_kept_under_a_key_of_its_own_and_is_a_phase_by_its_name(task: Task[Any, Any], site: Site) -> None:
    site = replace(site, config=override(site.config, checks={"lint": {"command": "x"}, "words": {"prompt": "is it?"}}))
    name = "words" if task is phases.judge else "lint"
    it = given(site) | {"name": name, "about": given(site)["change"]}
    assert isinstance(task.cache_policy, CacheKeyFnPolicy)
    assert task.cache_policy.cache_key_fn(None, it) == "check-" + checks.key(site, it["issue"], name, it["about"])  # type: ignore[misc, arg-type]
    named = task.with_options(name=name)
    assert (named.name, named.fn, named.tags, named.persist_result, named.retries) == (name, task.fn, task.tags, True, 2)


def test_a_piece_is_kept_under_a_key_of_its_own_and_is_a_phase_by_its_name(site: Site) -> None:
    site = replace(site, config=override(site.config, test__groups={"unit": {"command": "x {files}", "split": "y"}}))
    part, shard = Part(number=2, items=(Item(title="t"),), files=("a",)), Shard(name="test-unit-1", group="unit", files=("a",))
    it = given(site) | {"part": part, "shard": shard, "changes": [given(site)["change"]]}
    about = (site, it["issue"], it["plan"])
    assert phases.by_part(None, it) == "part-" + parts.key(*about, part, it["attempt"])
    assert phases.by_parts(None, it) == "integrate-" + parts.integrate_key(*about, it["attempt"], it["changes"])
    assert phases.by_shard(None, it) == "shard-" + shards.shard_key(site, shard, it["candidate"])
    for task in PIECES:
        named = task.with_options(name="build-2")
        assert (named.name, named.fn, named.tags, named.persist_result, named.retries) == ("build-2", task.fn, task.tags, True, 2)


def test_a_branch_whose_tree_failed_as_a_candidate_is_tested_anew_and_its_yes_is_kept(site: Site, repository: Repository, tmp_path: Path) -> None:
    tool = tmp_path / "tool"  # of the machine: as what a test needs and nobody had installed
    site = replace(site, config=override(site.config, test={"command": f"test -e '{tool}'"}))
    candidate, base = real.base_candidate(site, repository.tip), real.base_issue("main")
    assert not phases.test.fn(site, Issue(id="a", title="t", body="b"), candidate, 1).passed
    with pytest.raises(Misuse, match="the tests fail on main as it is"):
        phases.test_base.fn(site, base, candidate)
    tool.touch()
    assert phases.test_base.fn(site, base, candidate).passed
    tool.unlink()
    assert phases.test_base.fn(site, base, candidate).passed


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (Verdict(passed=True, log=""), "done"),
        (Verdict(passed=False, log=""), "no"),
        (Verdict(passed=True, log="", flaky=True), "flaky"),
        (Plan(text="p"), "done"),
    ],
)
def test_the_state_of_a_phase_tells_how_it_ended(result: Plan | Verdict, state: str) -> None:
    assert phases.ended(result) == state


@pytest.mark.parametrize("task", [phases.land, phases.offer], ids=lambda task: task.name)
def test_landing_is_never_cached(task: Task[Any, Any]) -> None:
    assert task.cache_policy == NO_CACHE
    assert not task.persist_result


def test_the_tag_limit_counts_those_who_ask_the_model() -> None:
    assert {task.name for task in ALL if phases.LLM in task.tags} == {"plan", "build", "review", "document", "judge", "part", "build-integrate"}

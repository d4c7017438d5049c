import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from adw import results
from adw.errors import AgentFailed
from adw.git import author
from adw.mirror import Hub, find_hub, sync
from adw.model import Change, Issue, Order, Plan, Verdict
from adw.phases import Site
from tests.conftest import Repository

KEY = "0123456789abcdef" * 4


@pytest.fixture
def order(site: Site, issue: Issue) -> Order:
    return site.order(issue, "plan")


def never() -> tuple[Plan, str]:
    pytest.fail("it was made a second time")


def test_two_at_the_same_key_are_served_by_one(hub: Hub, repository: Repository, order: Order) -> None:
    both, made = threading.Barrier(2, timeout=30), []

    def make() -> tuple[Plan, str]:
        made.append(1)
        return Plan(text="do it"), repository.tip

    def ask(_: int) -> tuple[Plan, bool]:
        both.wait()
        return results.once(hub, order, KEY, Plan, make)

    with ThreadPoolExecutor(2) as threads:
        answers = sorted(threads.map(ask, range(2)), key=lambda answer: answer[1])
    assert answers == [(Plan(text="do it"), False), (Plan(text="do it"), True)]
    assert len(made) == 1


def test_two_at_different_keys_do_not_wait_for_each_other(hub: Hub, repository: Repository, order: Order) -> None:
    both = threading.Barrier(2, timeout=30)

    def make() -> tuple[Plan, str]:
        both.wait()
        return Plan(text="do it"), repository.tip

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda key: results.once(hub, order, key, Plan, make)[1], ["a" * 64, "b" * 64])) == [False, False]


@pytest.mark.parametrize("verdict", [Verdict(passed=True, log=""), Verdict(passed=False, log='größe\n"quoted"\0\x1b\n\n  end\n')])
def test_a_result_comes_back_as_it_was(verdict: Verdict, hub: Hub, repository: Repository, order: Order) -> None:
    results.once(hub, order, KEY, Verdict, lambda: (verdict, repository.tip))
    assert results.find(hub, "plan", KEY, Verdict) == verdict


def test_a_change_is_its_own_record(hub: Hub, repository: Repository, order: Order) -> None:
    base = repository.tip
    tree = hub.mirror.tree_of(base)
    sha = hub.mirror.commit(tree, [base], "empty", author(hub.git))
    change = Change(sha=sha, tree=tree, base=base, base_tree=tree)
    results.once(hub, order, KEY, Change, lambda: (change, sha))
    assert results.find(hub, "plan", KEY, Change) == change
    assert repository.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/adw") == f"refs/adw/{order.issue_key}/plan/{KEY[:24]} {sha}"


def test_a_result_is_found_again_when_the_mirror_is_lost(hub: Hub, repository: Repository, order: Order) -> None:
    results.once(hub, order, KEY, Plan, lambda: (Plan(text="do it"), repository.tip))
    shutil.rmtree(hub.place.root)
    again = find_hub(repository.path)
    sync(again)
    assert results.once(again, order, KEY, Plan, never) == (Plan(text="do it"), True)


def test_a_result_keeps_what_it_is_about(hub: Hub, repository: Repository, order: Order) -> None:
    about = hub.mirror.commit(hub.mirror.tree_of(repository.tip), [repository.tip], "candidate", author(hub.git))
    results.once(hub, order, KEY, Verdict, lambda: (Verdict(passed=True, log=""), about))
    for git in (hub.mirror, hub.git):
        git.run("gc", "--quiet", "--prune=now")
        assert git.has(about)


@pytest.mark.parametrize(("phase", "key"), [("test", KEY), ("plan", "f" + KEY[1:])])
def test_a_result_is_found_by_its_phase_and_key_alone(phase: str, key: str, hub: Hub, repository: Repository, order: Order) -> None:
    results.once(hub, order, KEY, Plan, lambda: (Plan(text="do it"), repository.tip))
    assert results.find(hub, phase, key, Plan) is None


def test_a_result_is_found_whichever_issue_it_was_made_for(hub: Hub, repository: Repository, site: Site, issue: Issue, order: Order) -> None:
    results.once(hub, order, KEY, Plan, lambda: (Plan(text="do it"), repository.tip))
    other = site.order(Issue(id="other", title=issue.title, body=issue.body), "plan")
    assert results.once(hub, other, KEY, Plan, never)[1]


def test_what_failed_is_not_recorded(hub: Hub, repository: Repository, order: Order) -> None:
    def fail() -> tuple[Plan, str]:
        msg = "no"
        raise AgentFailed(msg)

    with pytest.raises(AgentFailed):
        results.once(hub, order, KEY, Plan, fail)
    assert results.once(hub, order, KEY, Plan, lambda: (Plan(text="now"), repository.tip)) == (Plan(text="now"), False)


def test_attempts_come_back_in_order_with_their_feedback(hub: Hub, repository: Repository, issue: Issue) -> None:
    begun = [results.begin(hub, issue, 1, repository.tip), results.begin(hub, issue, 2, repository.tip, "größe fails:\n\n  assert 1\n\n- so")]
    repository.commit("meanwhile", a="1")
    begun += [results.begin(hub, issue, number, hub.tip(), f"{number}") for number in range(3, 12)]
    assert results.attempts(hub, issue) == begun
    assert begun[2].base != begun[1].base


def test_attempts_come_back_when_the_mirror_is_lost(hub: Hub, repository: Repository, issue: Issue) -> None:
    begun = results.begin(hub, issue, 1, repository.tip, "no")
    shutil.rmtree(hub.place.root)
    again = find_hub(repository.path)
    sync(again)
    assert results.attempts(again, issue) == [begun]


def test_attempts_are_of_one_issue_as_it_is_written(hub: Hub, repository: Repository, issue: Issue) -> None:
    results.begin(hub, issue, 1, repository.tip)
    assert results.attempts(hub, Issue(id=issue.id, title=issue.title, body="other")) == []


def test_feedback_may_be_whatever_a_test_prints(hub: Hub, repository: Repository, issue: Issue) -> None:
    begun = results.begin(hub, issue, 2, repository.tip, "binary \0 output")
    assert results.attempts(hub, issue) == [begun]

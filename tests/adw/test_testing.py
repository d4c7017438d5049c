"""Commands that judge, and those that say one thing and then another."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from adw import results, testing
from adw.config import Flaky
from adw.errors import AgentCrashed, AgentCut
from adw.git import EMPTY_TREE
from adw.journal import LOG_TAIL
from adw.mirror import Hub
from adw.model import Issue, Order, Verdict
from adw.phases import Site
from adw.testing import Command, ruled

FLAKY = Verdict(passed=True, log="both", flaky=True)


@pytest.fixture
def order(site: Site, issue: Issue) -> Order:
    return site.order(issue, "test")


def run(site: Site, order: Order, line: str, minutes: float = 1) -> Verdict:
    return testing.tested(site.pool(), site.journal(), order, site.hub().mirror.run("rev-parse", "refs/hub/main"), Command(line, minutes, {}))


def counting(tmp_path: Path, line: str) -> str:
    """A line for sh that counts in a file how often it was run; `$n` is the number."""
    return f'echo x >> {tmp_path}/count; n=$(wc -l < {tmp_path}/count); echo "run $n"; {line}'


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "count").read_text().splitlines())


def test_what_fails_and_passes_when_repeated_is_flaky_with_both_logs(site: Site, order: Order, tmp_path: Path) -> None:
    verdict = run(site, order, counting(tmp_path, "test $n = 2"))
    assert (verdict.passed, verdict.flaky) == (True, True)
    assert "First:\nrun 1\n\nRepeated:\nrun 2" in verdict.log
    assert {log.name: log.read_text() for log in site.journal().log(order).parent.iterdir()} == {"1-test.log": "run 1\n", "1-test-again.log": "run 2\n"}


def test_what_fails_twice_is_a_no_with_its_first_log(site: Site, order: Order, tmp_path: Path) -> None:
    assert run(site, order, counting(tmp_path, "false")) == Verdict(passed=False, log="run 1")
    assert runs(tmp_path) == 2


def test_two_candidates_of_a_try_that_are_tested_at_once_have_a_log_each(site: Site, order: Order, tmp_path: Path) -> None:
    lines = [
        f"echo this is {name}; touch {tmp_path}/{name}; until test -e {tmp_path}/{other}; do sleep 0.02; done; echo {name} ends" for name, other in ("ab", "ba")
    ]
    with ThreadPoolExecutor(2) as threads:
        said = list(threads.map(lambda line: run(site, order, line).log, lines))
    assert said == [f"this is {name}\n{name} ends" for name in "ab"]
    assert sorted(log.name for log in site.journal().log(order).parent.iterdir()) == ["1-test-2.log", "1-test.log"]


def test_what_passes_is_not_repeated(site: Site, order: Order, tmp_path: Path) -> None:
    assert run(site, order, counting(tmp_path, "true")) == Verdict(passed=True, log="run 1")
    assert runs(tmp_path) == 1


def test_the_repetition_sees_nothing_that_the_first_run_left(site: Site, order: Order, tmp_path: Path) -> None:
    verdict = run(site, order, counting(tmp_path, "if test -e left; then exit 0; fi; touch left; exit 1"))
    assert (verdict.passed, runs(tmp_path)) == (False, 2)


def test_what_a_limit_stopped_is_not_repeated(site: Site, order: Order, tmp_path: Path) -> None:
    with pytest.raises(AgentCut, match=r"the test command was stopped: it took longer .*\nrun 1"):
        run(site, order, counting(tmp_path, "sleep 600"), 0.02)
    assert runs(tmp_path) == 1


def test_a_repetition_that_a_limit_stopped_says_nothing_new(site: Site, order: Order, tmp_path: Path) -> None:
    assert run(site, order, counting(tmp_path, "test $n = 1 || sleep 600; false"), 0.05) == Verdict(passed=False, log="run 1")


def test_what_was_killed_is_no_verdict_also_when_it_is_repeated(site: Site, order: Order, tmp_path: Path) -> None:
    with pytest.raises(AgentCrashed, match="the test command was killed from outside"):
        run(site, order, counting(tmp_path, "test $n = 1 || kill -9 $$; false"))


def test_the_log_of_what_is_flaky_is_the_end_of_both(site: Site, order: Order, tmp_path: Path) -> None:
    verdict = run(site, order, counting(tmp_path, 'seq 20000; echo "end of $n"; test $n = 2'))
    assert "end of 1\n\nRepeated:\n" in verdict.log
    assert verdict.log.endswith("end of 2")
    assert len(verdict.log) < LOG_TAIL + 200


@pytest.mark.parametrize(("rule", "passed"), [("pass", True), ("refuse", False)])
def test_a_rule_decides_what_is_flaky_and_nothing_else(rule: Flaky, passed: bool) -> None:  # noqa: FBT001
    assert ruled(FLAKY, rule).passed is passed
    assert [ruled(Verdict(passed=it, log=""), rule).passed for it in (True, False)] == [True, False]


def test_a_flaky_verdict_is_found_again_as_it_was(hub: Hub, order: Order) -> None:
    results.record(hub, order, "1" * 64, FLAKY, hub.tip())
    assert results.find(hub, "test", "1" * 64, Verdict) == FLAKY


def test_a_verdict_that_an_earlier_adw_recorded_is_not_flaky(hub: Hub, order: Order) -> None:
    old = {name: value for name, value in asdict(Verdict(passed=True, log="ok")).items() if name != "flaky"}
    sha = hub.mirror.commit(EMPTY_TREE, [hub.tip()], json.dumps(old), hub.author())
    hub.mirror.point(f"refs/adw/{order.issue_key}/test/{'2' * results.KEY_LENGTH}", sha)
    assert results.find(hub, "test", "2" * 64, Verdict) == Verdict(passed=True, log="ok")

import json
from collections import Counter

import pytest

from tests.e2e.conftest import LIMIT, Adw, until


def test_issues_become_tested_commits_in_order_of_their_dependencies_whatever_modules_the_repository_has(adw: Adw) -> None:
    adw.repository.commit("modules", **dict.fromkeys(("tasks.py", "flows.py", "deployments.py", "httpx.py", "adw.py"), "raise SystemExit(9)\n"))
    adw.issue("b", depends_on="a")
    adw.issue("a")
    done = adw.call(*adw.run_args())
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a", "b")
    assert adw.repository.subjects == ["Add b", "Add a", "modules", "first"]
    assert (adw.repository.path / "b.txt").read_text() == "b\n"


def test_a_second_run_does_nothing_twice(adw: Adw) -> None:
    adw.issue("a")
    assert adw.call(*adw.run_args()).returncode == 0
    again = adw.call(*adw.run_args())
    assert again.returncode == 0
    assert "already landed" in again.stdout
    assert not [event for event in adw.events() if event["event"] == "phase"]
    adw.assert_whole("a")


def test_test_review_and_document_of_a_change_run_at_once_in_different_slots(adw: Adw) -> None:
    meet = adw.issues.parent / "meet"
    meet.mkdir()
    waits = f"""
    case "$ADW_PHASE" in
      build) echo x > new.txt;;
      review|document) touch {meet}/$ADW_PHASE-$ADW_SLOT; until [ $(ls {meet} | wc -l) = 3 ]; do sleep 0.02; done;;
    esac
    """
    adw.issue("a")
    test = f"test ! -f new.txt || {{ touch {meet}/test-$ADW_SLOT; until [ $(ls {meet} | wc -l) = 3 ]; do sleep 0.02; done; }}"
    done = adw.call(*adw.run_args(waits, test))
    assert done.returncode == 0, done.stdout
    names = sorted(path.name for path in meet.iterdir())
    assert [name.split("-")[0] for name in names] == ["document", "review", "test"]
    assert len({name.split("-")[1] for name in names}) == 3


def test_a_no_from_the_tests_goes_back_to_build_with_its_log(adw: Adw) -> None:
    adw.issue("a")
    agent = """
    if [ "$ADW_PHASE" = build ]; then
      grep -q "the value is wrong" && echo right > value.txt || echo wrong > value.txt
    fi
    """
    done = adw.call(*adw.run_args(agent, 'test ! -f value.txt || grep right value.txt || { printf "the value is %s" wrong; exit 1; }'))
    assert done.returncode == 0, done.stdout
    assert (adw.repository.path / "value.txt").read_text() == "right\n"
    assert adw.phase("a", "test", "no")
    assert adw.repository.subjects == ["Add a", "first"]


def test_an_issue_that_fails_each_time_is_refused_and_the_others_land(adw: Adw) -> None:
    adw.issue("bad")
    adw.issue("good")
    adw.issue("needy", depends_on="bad")
    agent = 'case "$ADW_PHASE-$ADW_ISSUE" in build-bad) echo "cannot do it"; exit 1;; build-*) echo x > $ADW_ISSUE.txt;; esac'
    done = adw.call(*adw.run_args(agent), "--tries", "2", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout[done.stdout.index("{") :])["issues"]
    assert {name: row["state"] for name, row in told.items()} == {"bad": "refused", "good": "landed", "needy": "refused"}
    assert "cannot do it" in told["bad"]["reason"]
    assert told["bad"]["tries"] == 2
    adw.assert_whole("good")


def test_two_changes_of_the_same_line_both_land_the_second_built_on_the_first(adw: Adw) -> None:
    for name in ("a", "b", "c", "d"):
        adw.issue(name)
    agent = '[ "$ADW_PHASE" != build ] || sed -i "1s/$/ $ADW_ISSUE/" code.txt'
    done = adw.call(*adw.run_args(agent), "--tries", "1")
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a", "b", "c", "d")
    assert sorted((adw.repository.path / "code.txt").read_text().split()) == ["a", "b", "c", "d", "one"]


def test_changes_that_break_the_tests_only_together_do_not_both_land_as_they_are(adw: Adw) -> None:
    adw.issue("a")
    adw.issue("b")
    agent = """
    [ "$ADW_PHASE" = build ] || exit 0
    if [ "$(ls *.new 2>/dev/null)" ]; then echo "$ADW_ISSUE" > "$ADW_ISSUE.txt"; else touch "$ADW_ISSUE.new"; fi
    """
    done = adw.call(*adw.run_args(agent, "test $(ls *.new 2>/dev/null | wc -l) -lt 2"))
    assert done.returncode == 0, done.stdout
    adw.assert_whole("a", "b")
    assert len(list(adw.repository.path.glob("*.new"))) == 1


def test_local_edits_in_the_way_hold_an_issue_back_until_they_are_gone(adw: Adw) -> None:
    adw.issue("a")
    (adw.repository.path / "code.txt").write_text("mine\n")
    agent = '[ "$ADW_PHASE" != build ] || echo two >> code.txt'
    done = adw.call(*adw.run_args(agent))
    assert done.returncode == 1
    assert "stand in the way" in done.stdout
    assert (adw.repository.path / "code.txt").read_text() == "mine\n"
    assert adw.repository.subjects == ["first"]
    adw.repository.git("checkout", "code.txt")
    resumed = adw.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    assert not [e for e in adw.events()[-30:] if e["event"] == "phase" and e["phase"] == "build" and e["state"] == "running" and e["try"] > 1]
    adw.assert_whole("a")


def test_two_runs_at_once_of_the_same_issues_run_each_phase_once(adw: Adw) -> None:
    for name in ("a", "b", "c"):
        adw.issue(name)
    count = adw.issues.parent / "count"
    args = adw.run_args(f'echo "$ADW_PHASE-$ADW_ISSUE" >> {count}; sleep 0.5; [ "$ADW_PHASE" != build ] || echo x > $ADW_ISSUE.txt')
    first, second = adw.start(*args), adw.start(*args)
    outs = [process.communicate(timeout=120)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outs
    adw.assert_whole("a", "b", "c")
    phases = count.read_text().split()
    assert sorted(set(phases)) == sorted(phases)


def test_a_refused_issue_that_is_resumed_goes_on_with_a_new_try_and_the_feedback(adw: Adw) -> None:
    adw.issue("a")
    agent = '[ "$ADW_PHASE" != build ] || { grep -q "not yet" && echo x > good.txt || echo x > bad.txt; }'
    first = adw.call(*adw.run_args(agent, 'test ! -e bad.txt || { printf "not %s" yet; exit 1; }'), "--tries", "1")
    assert first.returncode == 1, first.stdout
    resumed = adw.call("resume")
    assert resumed.returncode == 0, resumed.stdout
    adw.assert_whole("a")


def test_the_branch_of_adw_toml_is_the_one_that_changes_land_on(adw: Adw) -> None:
    adw.repository.git("branch", "other")
    (adw.repository.path / "adw.toml").write_text('branch = "other"\n')
    adw.issue("a")
    done = adw.call(*adw.run_args())
    assert done.returncode == 0, done.stdout
    assert adw.repository.git("log", "--format=%s", "other").splitlines() == ["Add a", "first"]
    assert adw.repository.subjects == ["first"]


def test_a_conflict_that_no_agent_resolves_is_left_to_a_person_whose_commit_then_lands(adw: Adw) -> None:
    adw.issue("a", priority="1")
    adw.issue("b")
    agent = """
    [ "$ADW_PHASE" = build ] || exit 0
    grep -q one code.txt || { echo "not on top of that"; exit 1; }
    echo $ADW_ISSUE > code.txt
    """
    refused = adw.call(*adw.run_args(agent), "--tries", "2", "--json")
    assert refused.returncode == 1, refused.stdout
    adw.assert_whole("a")
    told = json.loads(refused.stdout[refused.stdout.index("{") :])["issues"]["b"]
    assert "not on top of that" in told["reason"]
    assert "on the branch adw/b: commit to it, then `adw resume b`" in told["reason"]
    adw.repository.git("checkout", "-q", "adw/b")
    adw.repository.commit("both", **{"code.txt": "a and b\n"})
    adw.repository.git("merge", "-q", "-X", "ours", "main")
    adw.repository.git("checkout", "-q", "main")
    resumed = adw.call("resume", "b")
    assert resumed.returncode == 0, resumed.stdout
    adw.assert_whole("a", "b")
    assert (adw.repository.path / "code.txt").read_text() == "a and b\n"
    assert adw.repository.git("branch", "--list", "adw/*") == ""


@pytest.mark.usefixtures("untraced")
def test_the_same_text_in_two_runs_at_once_is_planned_built_and_tested_once(adw: Adw) -> None:
    place = adw.issues.parent
    agent = f"""
    [ "$ADW_PHASE" != plan ] || {{ touch {place}/planning; until [ -e {place}/go ]; do sleep 0.02; done; }}
    [ "$ADW_PHASE" != build ] || echo x > new.txt
    """
    adw.issue("a", "Add it")
    args = adw.run_args(agent)
    first = adw.start(*args)
    until((place / "planning").exists)
    (adw.issues / "a.md").unlink()
    adw.issue("b", "Add it")
    second = adw.start(*args)
    until(lambda: len(adw.runs) == 2 and adw.phase("b", "plan"))  # it waits for the other's plan
    (place / "go").touch()
    assert [process.communicate(timeout=LIMIT)[0] for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0]
    events = [event for run in adw.runs for event in adw.events(run)]
    done = Counter(event["phase"] for event in events if event["event"] == "phase" and event["state"] == "done" and event["issue"] in {"a", "b"})
    assert (done["plan"], done["build"], done["test"]) == (1, 1, 1)
    adw.assert_whole("a", "b")

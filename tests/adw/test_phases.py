from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adw import journal, landing, phases, results
from adw.config import override
from adw.errors import AgentCrashed, AgentCut, AgentFailed, Conflict
from adw.mirror import Hub
from adw.model import Arrival, Attempt, Candidate, Change, Issue, Plan, Verdict, digest
from adw.phases import Site
from tests.conftest import Repository, make_site

PLAN = Plan(text="write a file")
WRITES = 'echo "$ADW_TRY" > new.txt'
CHANGE = Change(sha="1" * 40, tree="2" * 40, base="3" * 40, base_tree="4" * 40)
CANDIDATE = Candidate(sha="1" * 40, tree="2" * 40, onto="3" * 40, code="5" * 40)


@pytest.fixture
def attempt(hub: Hub, repository: Repository) -> Attempt:
    return Attempt(number=1, base=repository.tip, base_tree=hub.mirror.tree_of(repository.tip))


def built(hub: Hub, issue: Issue, line: str = WRITES) -> Change:
    """The change of an agent that is a line for sh, on the tip."""
    tip = hub.tip()
    return phases.build(make_site(hub, line), issue, PLAN, Attempt(number=1, base=tip, base_tree=hub.mirror.tree_of(tip)), {})[0]


def aged(hub: Hub, change: Change) -> Change:
    """A change as if it had been made long ago."""
    who = hub.mirror.identity(change.sha) | dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), "1700000000 +0130")
    return replace(change, sha=hub.mirror.commit(change.tree, [change.base], hub.mirror.message(change.sha), who))


def files(hub: Hub, commit: str) -> dict[str, str]:
    listed = hub.mirror.run("ls-tree", "-r", "--name-only", commit).splitlines()
    return {name: hub.mirror.run("show", f"{commit}:{name}") for name in listed if name != ".gitignore"}


# How each key is made of: a site, an issue, an attempt, a plan, a change and a candidate.
KEYS: dict[str, Callable[..., str]] = {
    "plan": lambda site, issue, attempt, **_: phases.plan_key(site, issue, attempt),
    "build": lambda site, issue, attempt, plan, **_: phases.build_key(site, issue, plan, attempt),
    "test": lambda site, candidate, **_: phases.test_key(site, candidate),
    "review": lambda site, issue, change, **_: phases.review_key(site, issue, change),
    "document": lambda site, issue, change, **_: phases.document_key(site, issue, change),
}
# What is changed → the phases whose key it changes.
DECIDES = {
    "issue.title": {"plan", "build", "review", "document"},
    "issue.body": {"plan", "build", "review", "document"},
    "issue.id": set(),
    "issue.priority": set(),
    "issue.depends_on": set(),
    "issue.estimate": set(),
    "attempt.number": set(),
    "attempt.base": {"build"},
    "attempt.base_tree": {"plan"},
    "attempt.feedback": {"plan", "build"},
    "plan.text": {"build"},
    "change.sha": set(),
    "change.tree": {"review", "document"},
    "change.base": {"document"},
    "change.base_tree": {"review"},
    "candidate.sha": set(),
    "candidate.onto": set(),
    "candidate.tree": set(),
    "candidate.code": {"test"},
    "site.run": set(),
    "site.branch": set(),
    "agent__command": {"plan", "build", "review", "document"},
    "agent__minutes": set(),
    "pool__size": set(),
    "pool__setup": {"test"},
    "pool__setup_files": {"test"},
    "docs": {"build", "document"},
    "review__refuse": {"build", "review"},
    "agent__model": {"plan", "build", "review", "document"},
    "agent__build__model": {"build"},
    "agent__review__tools": {"review"},
    "agent__build__name": {"build"},
    "budget__run_usd": set(),
    "skills__review": {"review"},
    "skills__plan": set(),
    "skills__enabled": {"review"},
}
NEW: dict[str, Any] = {"attempt.number": 2, "issue.priority": 2, "issue.estimate": 60.0, "agent__command": "sh other", "agent__minutes": 2, "pool__size": 7}
NEW |= {"review__refuse": ("warning",), "agent__review__tools": "run", "agent__build__name": "claude", "budget__run_usd": 3.0}
NEW |= {"skills__enabled": False, "skills__review": ("validate_syntax",), "skills__plan": ("validate_syntax",)}
LISTS = {"issue.depends_on", "pool__setup_files", "docs"}


def changed(given: dict[str, Any], what: str) -> dict[str, Any]:
    """All that keys are made of, with one thing changed."""
    value = NEW.get(what, ("x",) if what in LISTS else "x")
    owner, _, name = what.rpartition(".")
    if owner:
        return given | {owner: replace(given[owner], **{name: value})}
    return given | {"site": replace(given["site"], config=override(given["site"].config, **{what: value}))}


def test_a_key_changes_with_what_decides_its_result_and_with_nothing_else(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    given = {"site": make_site(hub, "sh x"), "issue": issue, "attempt": attempt, "plan": PLAN, "change": CHANGE, "candidate": CANDIDATE}
    found = {what: {phase for phase, key in KEYS.items() if key(**given) != key(**changed(given, what))} for what in DECIDES}
    assert found == DECIDES


def test_the_test_command_is_part_of_the_tests_key(hub: Hub) -> None:
    assert phases.test_key(make_site(hub, "sh x", "a"), CANDIDATE) != phases.test_key(make_site(hub, "sh x", "b"), CANDIDATE)


def test_the_test_command_is_part_of_the_builds_key(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    keys = [phases.build_key(make_site(hub, "sh x", command), issue, PLAN, attempt) for command in ("a", "b")]
    assert keys[0] != keys[1]


def test_no_two_phases_share_a_key(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    site = make_site(hub, "sh x")
    given = {"site": site, "issue": issue, "attempt": attempt, "plan": PLAN, "change": CHANGE, "candidate": CANDIDATE}
    assert len({key(**given) for key in KEYS.values()}) == len(KEYS)


def test_a_plan_is_what_the_agent_says(hub: Hub, attempt: Attempt) -> None:
    issue = Issue(id="i1", title="Ändern: $HOME", body="```\n$(rm -rf /)\n```")
    site = make_site(hub, "grep -c . > /dev/null && echo 'größe ändern' && touch stray && cat {prompt_file}")
    plan, about = phases.plan(site, issue, attempt, {})
    assert plan.text.startswith("größe ändern\n")
    fence = f"issue-{digest(issue.body)[:16]}"
    assert f'<{fence} title="Ändern: $HOME">\n```\n$(rm -rf /)\n```\n</{fence}>' in plan.text
    assert about == attempt.base


def test_a_second_plan_holds_nothing_of_the_first(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    said = [phases.plan(make_site(hub, f"echo {word}"), issue, attempt, {})[0].text for word in ("one", "two")]
    assert said == ["one", "two"]
    assert (hub.place.runs / "r1" / "logs" / issue.key / "1-plan.log").read_text() == "one\ntwo\n"


def test_a_build_is_a_commit_of_what_the_agent_wrote(hub: Hub, attempt: Attempt, repository: Repository) -> None:
    issue = Issue(id="größe ändern", title="Größe ändern", body="")
    change = built(hub, issue, "mkdir 'sp ace' && echo x > 'sp ace/ö.txt' && rm code.txt && echo ignored > .env")
    assert (change.base, change.base_tree, change.tree) == (repository.tip, attempt.base_tree, hub.mirror.tree_of(change.sha))
    assert files(hub, change.sha) == {"README.md": "about", "sp ace/ö.txt": "x"}
    assert hub.mirror.message(change.sha) == "Größe ändern\n\nAdw-Issue: größe ändern"
    assert hub.mirror.trailers(change.sha) == {issue.id: change.sha}


def test_a_build_is_by_the_hubs_user(hub: Hub, issue: Issue) -> None:
    who = hub.mirror.identity(built(hub, issue).sha)
    assert [who[f"GIT_{role}"] for role in ("AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME")] == ["Ada", "ada@example.invalid", "Ada"]


def test_a_build_is_told_the_plan_the_test_and_what_went_wrong(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    change, _ = phases.build(make_site(hub, "cat {prompt_file} > told.txt", "make test"), issue, PLAN, replace(attempt, feedback="it broke"), {})
    told = files(hub, change.sha)["told.txt"]
    assert all(words in told for words in ("Add i1", "please", "write a file", "`make test`", "\nit broke\n</feedback-"))
    assert "<feedback" not in files(hub, built(hub, issue, "cat > told.txt").sha)["told.txt"]


@pytest.mark.parametrize(
    "line",
    [
        "git checkout --quiet -b mine; echo 1 > new.txt; git add .; git commit --quiet -m mine",
        "echo 1 > new.txt; git add new.txt",
        "git checkout --quiet --orphan mine; git commit --quiet -m all; echo 1 > new.txt",
        "rm -rf .git; git init --quiet; echo 1 > new.txt; git add .; git -c user.name=x -c user.email=y commit --quiet -m x",
        "echo 1 > new.txt; git stash --include-untracked --quiet; git stash pop --quiet",
    ],
)
def test_an_agent_that_uses_git_makes_the_same_change_as_one_that_does_not(line: str, hub: Hub, issue: Issue) -> None:
    plain, change = built(hub, issue), built(hub, issue, line)
    assert (change.tree, change.base, hub.mirror.message(change.sha)) == (plain.tree, plain.base, hub.mirror.message(plain.sha))
    assert hub.git.refs() == {"refs/heads/main": hub.tip()}


@pytest.mark.parametrize(
    "line", ["true", "git commit --quiet --allow-empty -m x", "touch .env", "mkdir empty", "echo x > code.txt; git checkout --quiet code.txt"]
)
def test_an_agent_that_changed_nothing_failed(line: str, hub: Hub, issue: Issue) -> None:
    with pytest.raises(AgentFailed, match="changed nothing"):
        built(hub, issue, line)


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        ("echo out of luck; exit 3", AgentFailed, r"in build, the agent said no \(exit status 3\):\nout of luck"),
        ("kill -9 $$", AgentCrashed, r"was killed in build \(exit status 137\)"),
        ("kill -15 $$", AgentCrashed, r"was killed in build \(exit status 143\)"),
    ],
)
def test_an_agent_that_ends_badly_says_how(line: str, error: type[Exception], said: str, hub: Hub, issue: Issue) -> None:
    with pytest.raises(error, match=said) as no:
        built(hub, issue, line)
    assert type(no.value) is error


def test_an_agent_that_hangs_is_cut_and_its_work_is_kept(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    site = make_site(hub, "echo half > half.txt; echo began; sleep 600")
    hasty = replace(site, config=override(site.config, agent__minutes=0.03))
    with pytest.raises(AgentCut, match=r"stopped in build: it took longer than 0\.03 minutes\nbegan"):
        phases.build(hasty, issue, PLAN, attempt, {})
    built(hub, issue)
    assert files(hub, f"refs/adw/{issue.key}/rescued-1")["half.txt"] == "half"


def test_an_agent_that_fills_its_slot_is_cut(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    site = make_site(hub, "head -c 3000000 /dev/zero > x; sleep 600", slot_gb=1e-3)
    with pytest.raises(AgentCut, match=r"filled its slot with more than 0\.001 GB"):
        phases.build(site, issue, PLAN, attempt, {})


def test_an_agent_has_its_secrets_and_a_test_has_not(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    site = make_site(hub, 'echo "$KEY" > key.txt', 'test -z "$KEY" && test -e key.txt')
    change, _ = phases.build(site, issue, PLAN, attempt, {"KEY": "sesame"})
    assert files(hub, change.sha)["key.txt"] == "sesame"
    assert phases.test(site, issue, phases.candidate(site, issue, change, attempt.base), 1)[0].passed


@pytest.mark.parametrize(
    ("command", "passed", "log"), [("echo fine", True, "fine"), ("echo größe >&2; exit 4", False, "größe"), ("adw-no-such-test", False, "not found")]
)
def test_a_test_is_a_verdict_with_its_log(command: str, passed: bool, log: str, hub: Hub, issue: Issue) -> None:  # noqa: FBT001
    verdict, about = phases.test(make_site(hub, "sh x", command), issue, phases.base_candidate(make_site(hub, "sh x"), hub.tip()), 1)
    assert (verdict.passed, about) == (passed, hub.tip())
    assert verdict.log.endswith(log)


def test_a_test_runs_on_what_would_land(hub: Hub, issue: Issue, repository: Repository) -> None:
    change = built(hub, issue)
    repository.commit("meanwhile", **{"other.txt": "x\n"})
    site = make_site(hub, "sh x", "test -f new.txt && test -f other.txt && git rev-parse HEAD")
    candidate = phases.candidate(site, issue, change, hub.tip())
    assert phases.test(site, issue, candidate, 1) == (Verdict(passed=True, log=candidate.sha), candidate.sha)


def test_the_log_of_a_test_is_its_end(hub: Hub, issue: Issue) -> None:
    site = make_site(hub, "sh x", "seq 100000; echo the end; exit 1")
    verdict, _ = phases.test(site, issue, phases.base_candidate(site, hub.tip()), 1)
    assert verdict.log.endswith("99999\n100000\nthe end")
    assert len(verdict.log) <= journal.LOG_TAIL


def test_a_test_that_hangs_is_cut(hub: Hub, issue: Issue) -> None:
    site = make_site(hub, "sh x", "echo began; sleep 600")
    hasty = replace(site, config=override(site.config, test__minutes=0.03))
    with pytest.raises(AgentCut, match=r"the test command was stopped: it took longer .*\nbegan"):
        phases.test(hasty, issue, phases.base_candidate(site, hub.tip()), 1)


def test_a_test_that_was_killed_says_nothing_about_the_change(hub: Hub, issue: Issue) -> None:
    site = make_site(hub, "sh x", "kill -9 $$")
    with pytest.raises(AgentCrashed, match="killed from outside"):
        phases.test(site, issue, phases.base_candidate(site, hub.tip()), 1)


def test_a_second_test_holds_nothing_of_the_first(hub: Hub, issue: Issue) -> None:
    base = phases.base_candidate(make_site(hub, "sh x"), hub.tip())
    logs = [phases.test(make_site(hub, "sh x", f"echo {word}"), issue, base, 1)[0].log for word in ("one", "two")]
    assert logs == ["one", "two"]


@pytest.mark.parametrize(("line", "passed", "log"), [("echo fine", True, "fine"), ("echo line 3 is wrong; exit 1", False, "line 3 is wrong")])
def test_a_review_is_the_agents_exit_status(line: str, passed: bool, log: str, hub: Hub, issue: Issue) -> None:  # noqa: FBT001
    change = built(hub, issue)
    verdict, about = phases.review(make_site(hub, line), issue, change, 1, {})
    assert (verdict.passed, about) == (passed, change.sha)
    assert verdict.log.endswith(log)


def test_a_review_sees_the_change_and_its_files(hub: Hub, issue: Issue) -> None:
    change = built(hub, issue)
    verdict, _ = phases.review(make_site(hub, "cat {prompt_file} && cat new.txt"), issue, change, 1, {})
    assert "+++ b/new.txt\n@@ -0,0 +1 @@\n+1" in verdict.log
    assert verdict.log.endswith("with file and line.\n1")


@pytest.mark.parametrize(("line", "error"), [("kill -9 $$", AgentCrashed), ("sleep 600", AgentCut)])
def test_a_review_that_did_not_end_is_no_verdict(line: str, error: type[Exception], hub: Hub, issue: Issue) -> None:
    site = make_site(hub, line)
    with pytest.raises(error):
        phases.review(replace(site, config=override(site.config, agent__minutes=0.03)), issue, built(hub, issue), 1, {})


def test_documentation_becomes_part_of_the_change(hub: Hub, issue: Issue) -> None:
    change = aged(hub, built(hub, issue))
    documented, about = phases.document(make_site(hub, "mkdir docs && echo how > 'docs/ö.md' && echo more >> README.md"), issue, change, 1, {})
    assert about == documented.sha
    assert files(hub, documented.sha) == {"README.md": "about\nmore", "code.txt": "one", "docs/ö.md": "how", "new.txt": "1"}
    assert (documented.base, hub.mirror.message(documented.sha)) == (change.base, hub.mirror.message(change.sha))
    assert hub.mirror.identity(documented.sha) == hub.mirror.identity(change.sha)


def test_a_change_that_needs_no_documentation_stays_what_it_is(hub: Hub, issue: Issue) -> None:
    change = built(hub, issue)
    assert phases.document(make_site(hub, "true"), issue, change, 1, {}) == (change, change.sha)


@pytest.mark.parametrize("line", ["echo x > code.txt", "mkdir src && echo x > src/README.md", "rm new.txt", "mv README.md code.md", "chmod +x code.txt"])
def test_documentation_outside_of_its_paths_is_refused(line: str, hub: Hub, issue: Issue) -> None:
    with pytest.raises(AgentFailed, match=r"touched (code\.txt|src/README\.md|new\.txt|code\.md), and may touch only docs, README\*, CHANGELOG\*"):
        phases.document(make_site(hub, line), issue, built(hub, issue), 1, {})


def test_a_candidate_on_its_own_base_is_the_change(hub: Hub, issue: Issue) -> None:
    change = built(hub, issue)
    candidate = phases.candidate(make_site(hub, "sh x"), issue, change, change.base)
    assert (candidate.sha, candidate.tree, candidate.onto) == (change.sha, change.tree, change.base)


def test_a_candidate_is_the_same_each_time(hub: Hub, issue: Issue, repository: Repository) -> None:
    change, site = aged(hub, built(hub, issue)), make_site(hub, "sh x")
    onto = repository.commit("meanwhile", **{"other.txt": "x\n"})
    hub.tip()
    one, other = (phases.candidate(site, issue, change, onto) for _ in range(2))
    assert one == other
    assert hub.mirror.run("rev-parse", f"{one.sha}^@") == onto
    assert (hub.mirror.message(one.sha), hub.mirror.identity(one.sha)) == (hub.mirror.message(change.sha), hub.mirror.identity(change.sha))
    assert files(hub, one.sha) == {"README.md": "about", "code.txt": "one", "new.txt": "1", "other.txt": "x"}


def test_a_candidate_that_does_not_merge_is_a_conflict(hub: Hub, issue: Issue, repository: Repository) -> None:
    change = built(hub, issue)
    repository.commit("meanwhile", **{"new.txt": "theirs\n"})
    with pytest.raises(Conflict, match=r"new\.txt"):
        phases.candidate(make_site(hub, "sh x"), issue, change, hub.tip())


def test_tests_need_not_run_again_for_documentation(hub: Hub, issue: Issue) -> None:
    site, change = make_site(hub, "echo more >> README.md"), built(hub, issue)
    documented, _ = phases.document(site, issue, change, 1, {})
    before, after = (phases.candidate(site, issue, one, change.base) for one in (change, documented))
    assert (before.code == after.code, before.tree == after.tree) == (True, False)
    assert phases.base_candidate(site, change.base).code != before.code


def test_two_issues_of_one_text_land_under_their_own_ids(hub: Hub, attempt: Attempt, issue: Issue) -> None:
    site, twin = make_site(hub, WRITES), replace(issue, id="twin")
    for one in (issue, twin):
        key = phases.build_key(site, one, PLAN, attempt)
        change, _ = results.once(hub, site.order(one, "build"), key, Change, lambda one=one: phases.build(site, one, PLAN, attempt, {}))  # type: ignore[misc]
        candidate = phases.candidate(site, one, change, hub.tip())
        assert landing.land(hub, [Arrival(issue=one, candidate=candidate)])
    assert sorted(hub.mirror.trailers(hub.tip())) == ["i1", "twin"]


def test_a_file_of_a_terabyte_is_the_agents_fault(hub: Hub, issue: Issue) -> None:
    with pytest.raises(AgentFailed, match="it filled its slot with more than 10 GB"):
        built(hub, issue, "truncate -s 1T huge")


def test_a_repository_that_an_agent_left_in_its_tree_is_the_agents_fault(hub: Hub, issue: Issue) -> None:
    with pytest.raises(AgentFailed):
        built(hub, issue, "git init --quiet inner && touch inner/x")


def test_the_end_of_a_log_is_text_whatever_is_in_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"before\n\xff\xfe gr\xc3\xb6\xc3\x9fe \n")
    assert journal.tail(log, 7) == "\ufffd\ufffd größe"


def test_a_site_is_made_anew_from_what_it_is_made_of(site: Site, hub: Hub) -> None:
    assert (site.hub(), site.pool().slots(), site.journal().folder) == (hub, [hub.place.pool / "1", hub.place.pool / "2"], hub.place.runs / "r1")

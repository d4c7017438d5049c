"""Branches with pull requests: a real bare repository as the remote, and a stand-in for GitHub on loopback."""

from dataclasses import replace

import pytest

from adw import branches, proposal, results
from adw.cli import inspect
from adw.config import LandingConfig, override
from adw.errors import Blocked, HubAway, Misuse
from adw.mirror import Hub
from adw.model import Arrival, Issue, Offer, Plan, Verdict
from adw.offering import Found
from adw.phases import Site
from tests.adw.test_landing import ISSUE
from tests.adw.there import FACTS, There
from tests.fake_github import TOKEN, no

OTHER = Issue(id="i2", title="Add i2", body="")


def test_a_change_gets_a_branch_here_and_there_and_one_pull_request(there: There, what: Arrival) -> None:
    for _ in range(3):
        assert there.propose(what) == Offer(place=f"{there.github.url}/ada/code/pull/1")
    assert there.at() == what.candidate.sha == there.far.git.find("refs/heads/adw/i1")
    (pull,) = there.github.pulls
    assert (pull["title"], pull["base"]["ref"], pull["head"]["ref"]) == ("Add i1", "main", "adw/i1")
    assert [method for method, _, _ in there.github.asked].count("PATCH") == 1  # from what it says when it is opened
    assert there.origin.subjects == there.repository.subjects == ["first"]


def test_the_text_has_the_plan_and_the_verdicts_and_no_log_of_tests(there: There, site: Site, what: Arrival) -> None:
    issue, far = replace(ISSUE, body="please"), there.far
    checked = override(there.config, checks={"lint": {"command": "lint", "required": False}})
    results.record(far, site.order(issue, "lint"), "l" * 24, Verdict(passed=False, log="in /home/ada/secret"), far.tip())
    results.record(far, site.order(issue, "plan"), "p" * 24, Plan(text="first this"), far.tip())
    results.record(far, site.order(issue, "test"), "t" * 24, Verdict(passed=True, log="in /home/ada/secret"), far.tip())
    results.record(far, site.order(issue, "review"), "r" * 24, Verdict(passed=True, log="all well, @bob"), far.tip())
    text = proposal.finished(far, checked, issue, what.candidate.sha, FACTS)
    parts = ("please", "first this", "Run `r1`; 2 tries; $1.50", "- test: passed (`test -f code.txt`)", "- review: passed", "- lint: no", "all well, @bob")
    assert [part in text for part in parts] == [True] * 7
    assert "secret" not in text


def test_a_plan_and_a_review_that_say_nothing_leave_no_empty_block_in_the_text(there: There, site: Site, what: Arrival) -> None:
    results.record(there.far, site.order(ISSUE, "plan"), "p" * 24, Plan(text="\n"), there.far.tip())
    results.record(there.far, site.order(ISSUE, "review"), "r" * 24, Verdict(passed=True, log=""), there.far.tip())
    text = proposal.finished(there.far, there.config, ISSUE, what.candidate.sha, FACTS)
    assert [part in text for part in ("## Plan", "## Review", "- review: passed")] == [False, False, True]


def test_a_rate_limit_that_a_pull_request_waits_for_is_told_of(there: There, what: Arrival) -> None:
    limit = no(403, "You have exceeded a secondary rate limit", **{"retry-after": "0"})
    there.github.upset = lambda _method, _path: limit if len(there.github.asked) == 1 else None
    assert there.propose(what).place
    assert [text.rpartition("; ")[2] for text in there.told] == ["asking again"]


def test_the_text_ends_with_the_trailer_so_that_a_squash_keeps_it(there: There, what: Arrival) -> None:
    there.propose(what)
    there.github.squash("adw/i1", f"Add i1 (#1)\n\n{there.github.pulls[0]['body']}")
    there.far.look_again()
    assert there.far.mirror.trailers(there.far.tip()) == {"i1": there.origin.tip}


def test_a_text_is_never_longer_than_github_takes(there: There, site: Site, what: Arrival) -> None:
    issue, far = replace(ISSUE, body="b" * 100_000), there.far
    results.record(far, site.order(issue, "plan"), "p" * 24, Plan(text="p" * 100_000), far.tip())
    results.record(far, site.order(issue, "review"), "r" * 24, Verdict(passed=True, log="r" * 100_000), far.tip())
    assert len(proposal.finished(far, there.config, issue, what.candidate.sha, FACTS)) < 65_000


def test_a_change_that_is_made_anew_moves_branch_and_pull_request(there: There, what: Arrival) -> None:
    there.propose(what)
    again = there.newer()
    there.propose(again)
    assert there.at() == again.candidate.sha
    assert len(there.github.pulls) == 1


def test_what_people_wrote_beside_adws_part_of_the_text_stays(there: There, what: Arrival) -> None:
    there.propose(what)
    pull = there.github.pulls[0]
    pull.update(title="my words", body=f"before\n{pull['body']}\nafter")
    there.config = there.config.model_copy(update={"test": there.config.test.model_copy(update={"command": "make test"})})
    there.propose(what)
    assert pull["body"].startswith("before\n<!-- adw -->")
    assert pull["body"].endswith("Adw-Issue: i1\nafter")
    assert ("`make test`" in pull["body"], "code.txt" in pull["body"], pull["title"]) == (True, False, "my words")
    pull["body"] = "all mine"
    there.propose(what)
    assert pull["body"] == "all mine"


def test_the_base_is_corrected_when_what_it_stood_on_is_merged(there: There, what: Arrival) -> None:
    there.newer()
    there.origin.git("branch", "adw/parent", "main")
    there.propose(what, "adw/parent")
    assert there.github.pulls[0]["base"]["ref"] == "adw/parent"
    there.propose(what, "main")
    assert there.github.pulls[0]["base"]["ref"] == "main"


def test_a_persons_commits_on_the_branch_there_are_not_overwritten(there: There, what: Arrival) -> None:
    there.propose(what)
    mine, here = there.pushed_by_a_person(), there.far.git.find("refs/heads/adw/i1")
    again = there.newer()
    with pytest.raises(Blocked, match=rf"branch adw/i1 at origin is at {mine[:10]}, which adw did not put there"):
        there.propose(again)
    assert (there.at(), there.far.git.find("refs/heads/adw/i1")) == (mine, here)
    assert "branch adw/i1 at origin is at" in there.looked_up().obstacles["i1"]


def test_a_kill_between_branch_and_pull_request_leaves_one_of_each(there: There, what: Arrival) -> None:
    there.github.upset = lambda method, _path: no(502, "Server Error") if method == "POST" else None
    with pytest.raises(HubAway):
        there.propose(what)
    assert (there.at(), there.github.pulls) == (what.candidate.sha, [])
    again = there.newer()  # what was pushed is known for adw's, although the tip moved since
    there.github.upset, there.github.dropped = lambda _method, _path: None, lambda method, _path: method == "POST"
    with pytest.raises(HubAway):
        there.propose(again)
    there.github.dropped = lambda _method, _path: False
    assert there.propose(again).place == f"{there.github.url}/ada/code/pull/1"
    assert (there.at(), len(there.github.pulls)) == (again.candidate.sha, 1)


def test_a_kill_between_the_branch_here_and_the_branch_there_is_no_persons_work(there: There, what: Arrival) -> None:
    there.propose(what)
    branches.leave(there.far, there.newer())
    last = there.newer("newest\n")
    there.propose(last)
    assert there.at() == last.candidate.sha


def test_one_that_was_merged_has_landed_whatever_its_message(there: There, what: Arrival) -> None:
    there.propose(what)
    sha = there.github.squash("adw/i1", "in my words")
    assert there.looked_up(ISSUE, OTHER) == Found({"i1": sha}, {}, {})
    assert there.propose(what).landed == sha
    assert (there.at(), len(there.github.pulls)) == ("", 1)


def test_one_that_a_person_closed_is_left_closed(there: There, what: Arrival) -> None:
    there.propose(what)
    there.github.close("adw/i1")
    words = rf"{there.github.url}/ada/code/pull/1, the pull request of i1, was closed: reopen it .* or give the issue another id"
    with pytest.raises(Blocked, match=words):
        there.propose(what)
    found = there.looked_up()
    assert (found.landed, list(found.obstacles), there.at()) == ({}, ["i1"], what.candidate.sha)


def test_one_that_was_merged_into_another_branch_has_not_landed(there: There, what: Arrival) -> None:
    there.propose(what)
    there.github.squash("adw/i1", "in my words")
    there.github.pulls[0]["base"]["ref"] = "adw/other"
    assert "was merged into adw/other" in there.looked_up().obstacles["i1"]


def test_a_branch_of_a_person_there_shows_before_anything_is_paid_for(there: There) -> None:
    there.origin.git("branch", "adw/i1", "main")
    assert "branch adw/i1 at origin is at" in there.looked_up().obstacles["i1"]


def test_a_token_that_does_not_do_shows_before_anything_is_paid_for(there: There) -> None:
    with pytest.raises(Misuse, match="does not take the token"):
        there.looked_up(token="an old one")


def test_doctor_says_where_changes_go_or_why_they_cannot(there: There, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(**landing: str) -> str:
        settings = LandingConfig.model_validate(landing)
        return inspect.landing(there.config.model_copy(update={"landing": settings}), hub)

    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    assert said() == "changes land on main"
    assert said(mode="none") == "each change is left on a branch adw/ID"
    assert said(mode="push") == "changes are pushed to main at origin"
    assert said(mode="pull-request") == "changes become pull requests onto main of ada/code"
    monkeypatch.setenv("GITHUB_TOKEN", "an old one")
    with pytest.raises(Misuse, match="does not take the token"):
        said(mode="pull-request")
    with pytest.raises(Misuse, match="has no remote 'upstream'"):
        said(mode="push", remote="upstream")


def test_issues_that_were_never_offered_cost_no_call(there: There) -> None:
    there.looked_up(*(Issue(id=str(n), title="t", body="") for n in range(50)))
    assert len(there.github.asked) == 1


def test_a_remote_that_takes_no_branches_is_quoted(there: There, what: Arrival) -> None:
    hook = there.origin.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no branches, please >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(Blocked, match=r"origin does not take adw/i1: pre-receive hook declined\nno branches, please"):
        there.propose(what)
    assert there.github.pulls == []

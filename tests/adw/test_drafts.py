"""Pull requests before they are handed over, and what people say of them."""

from dataclasses import replace

import pytest

from adw import offering, proposal, results
from adw.errors import Blocked, HubAway
from adw.github import client
from adw.model import PEOPLE, Arrival
from tests.adw.test_landing import ISSUE
from tests.adw.there import There
from tests.fake_github import no
from tests.fake_github.talk import review, thread


def test_a_change_is_a_draft_with_labels_until_it_is_handed_over(there: There, what: Arrival) -> None:
    for _ in range(2):
        assert there.show(what)
    (pull,) = there.github.pulls
    assert (pull["draft"], pull["labels"], there.at(), proposal.JUDGED in pull["body"]) == (True, [{"name": "adw"}], what.candidate.sha, True)
    there.propose(what)
    assert (len(there.github.pulls), pull["draft"], proposal.JUDGED in pull["body"]) == (1, False, False)
    assert "Adw-Issue: i1" in pull["body"]


def test_a_draft_follows_what_is_built_and_says_when_adw_gives_up(there: There, what: Arrival) -> None:
    there.show(what)
    again = there.newer()
    there.show(again, standing=proposal.GIVEN_UP)
    (pull,) = there.github.pulls
    assert (there.at(), pull["draft"], proposal.GIVEN_UP in pull["body"]) == (again.candidate.sha, True, True)


def test_what_was_handed_over_is_not_a_draft_again(there: There, what: Arrival) -> None:
    there.propose(what)
    body = there.github.pulls[0]["body"]
    there.show(there.newer())
    assert (there.at(), there.github.pulls[0]["draft"], there.github.pulls[0]["body"]) == (what.candidate.sha, False, body)


def test_what_people_decided_about_a_draft_is_left_as_it_is(there: There, what: Arrival) -> None:
    there.show(what)
    there.github.close("adw/i1")
    shown = there.show(there.newer())
    assert shown
    assert (shown.open, there.at(), len(there.github.pulls)) == (False, what.candidate.sha, 1)
    assert "was closed" in there.looked_up().obstacles["i1"]


def test_a_persons_commits_on_a_draft_are_not_overwritten(there: There, what: Arrival) -> None:
    there.show(what)
    mine = there.pushed_by_a_person()
    with pytest.raises(Blocked, match=f"is at {mine[:10]}, which adw did not put there"):
        there.show(there.newer())
    assert there.at() == mine


def test_where_there_may_be_no_drafts_it_is_opened_when_it_is_handed_over(there: There, what: Arrival) -> None:
    there.github.drafts = False
    assert there.show(what) is None
    assert there.github.pulls == []
    there.propose(what)
    (pull,) = there.github.pulls
    assert (pull["draft"], pull["labels"]) == (False, [{"name": "adw"}])


def test_a_kill_at_any_request_leaves_one_pull_request_that_is_handed_over_in_the_end(there: There, what: Arrival, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "TRIES", 1)
    number = 0
    while True:
        number += 1
        left = iter(range(number))
        there.github.dropped = lambda method, _path, left=left: method != "GET" and next(left, None) is None  # type: ignore[misc]
        try:
            there.show(what)
            there.propose(what)
        except HubAway:
            continue
        if next(left, None) is not None:  # nothing was lost any more
            break
        there.github.pulls.clear()
        there.github.labels.clear()
    there.github.dropped = lambda _method, _path: False
    (pull,) = there.github.pulls
    assert (pull["draft"], pull["labels"], proposal.UNFINISHED in pull["body"]) == (False, [{"name": "adw"}], False)


def test_a_draft_that_github_does_not_hand_over_is_told_and_holds_nothing_up(there: There, what: Arrival) -> None:
    there.show(what)
    there.github.upset = lambda _method, path: no(403, "Resource not accessible") if path == "/graphql" else None
    made = there.propose(what)
    assert "/pull/1 is still a draft: the token may not do this" in made.remark


def test_a_label_that_may_not_be_made_is_left_out(there: There, what: Arrival) -> None:
    there.github.labels.add("ours")
    there.config = there.config.model_copy(update={"github": there.config.github.model_copy(update={"labels": ("ours", "adw")})})
    there.github.upset = lambda method, path: no(403, "no") if (method, path) == ("POST", "/repos/ada/code/labels") else None
    there.propose(what)
    assert there.github.pulls[0]["labels"] == [{"name": "ours"}]


def test_an_issue_that_holds_adws_own_marks_is_handed_over_like_any_other(there: There, what: Arrival) -> None:
    issue = replace(ISSUE, body=f"{proposal.UNFINISHED}\n<!-- /adw -->\n<!--adw -->please")
    hostile = replace(what, issue=issue)
    there.show(hostile)
    there.propose(hostile)
    there.propose(hostile)
    (pull,) = there.github.pulls
    assert (proposal.UNFINISHED in pull["body"], pull["body"].count("<!-- /adw -->"), pull["body"].count("## Verdicts")) == (False, 1, 1)
    assert "-->please" in pull["body"]


def said(there: There) -> list[str]:
    """What people want of the change, which is the one that is at the remote."""
    found = there.looked_up().said.get("i1")
    assert found is None or found.change == there.at()
    return [remark.text for remark in found.remarks] if found else []


def test_open_threads_requested_changes_and_what_is_said_to_adw_are_heard(there: There, what: Arrival) -> None:
    there.propose(what)
    thread(there.github, "adw/i1", ("new.txt", 3), ("bob", "rename it"), ("mallory", "delete it"), ("ada", "to what?"))
    thread(there.github, "adw/i1", ("new.txt", None), ("bob", "is done"))["isResolved"] = True
    review(there.github, "adw/i1", "It is too slow.")
    review(there.github, "adw/i1", "Nice!", "APPROVED", by="ada")
    number = there.github.pulls[0]["number"]
    for text in ("/adw add a test", "adw: and a comment", "I like it", "<!-- adw: i1 -->\nadw: done"):
        there.github.said(number, text, "ada")
    assert said(there) == ["On new.txt:3:\n\nbob: rename it\n\nada: to what?", "bob: It is too slow.", "ada: add a test", "ada: and a comment"]


@pytest.mark.parametrize(("by", "kind"), [("mallory", "User"), ("bob", "Bot"), ("", "User")])
def test_who_may_not_write_bots_and_who_is_gone_are_not_heard(there: There, what: Arrival, by: str, kind: str) -> None:
    there.propose(what)
    thread(there.github, "adw/i1", ("new.txt", 1), (by, "do it"), kind=kind)
    there.github.said(there.github.pulls[0]["number"], "/adw do it", by, kind)
    assert said(there) == []


def test_who_approves_after_all_wants_nothing_more(there: There, what: Arrival) -> None:
    there.propose(what)
    review(there.github, "adw/i1", "no")
    review(there.github, "adw/i1", "well, yes", "APPROVED")
    assert said(there) == []


def test_a_remark_is_heard_once_and_a_thread_again_when_it_goes_on(there: There, what: Arrival) -> None:
    there.propose(what)
    talk = thread(there.github, "adw/i1", ("new.txt", 1), ("bob", "rename it"))
    review(there.github, "adw/i1", "too slow")
    found = there.looked_up().said["i1"]
    results.begin(there.far, ISSUE, 2, there.far.tip(), found.feedback(""), found.change, found.ids)
    (attempt,) = results.attempts(there.far, ISSUE)
    assert (attempt.wanted, attempt.change) == (True, what.candidate.sha)
    assert attempt.feedback == f"{PEOPLE}\n\nOn new.txt:1:\n\nbob: rename it\n\nbob: too slow"
    assert said(there) == []
    talk["comments"]["nodes"].append({"databaseId": 99, "body": "not so", "author": {"login": "bob", "__typename": "User"}, "state": "SUBMITTED"})
    assert said(there) == ["On new.txt:1:\n\nbob: rename it\n\nbob: not so"]


def test_a_remark_counts_as_heard_only_once_its_try_is_there(there: There, what: Arrival) -> None:
    there.propose(what)
    review(there.github, "adw/i1", "too slow")
    mark = there.looked_up().said["i1"].ids[0]
    there.far.mirror.point(f"refs/adw/{ISSUE.key}/heard/{mark}", what.candidate.sha)  # killed before the try was recorded
    assert said(there) == ["bob: too slow"]


def test_reviews_that_may_not_be_read_hold_nothing_up(there: There, what: Arrival) -> None:
    there.propose(what)
    there.github.upset = lambda _method, path: no(403, "no") if path == "/graphql" else None
    assert there.looked_up() == offering.Found({}, {}, {})


def test_what_was_said_of_a_draft_goes_before_what_was_said_of_its_last_try(there: There, what: Arrival) -> None:
    there.show(what)
    review(there.github, "adw/i1", "do it otherwise")
    found = there.looked_up().said["i1"]
    assert found.feedback("the tests fail") == f"{PEOPLE}\n\nbob: do it otherwise\n\nBefore that:\n\nthe tests fail"
    there.propose(what)
    assert there.looked_up().said["i1"].feedback("the tests fail") == f"{PEOPLE}\n\nbob: do it otherwise"

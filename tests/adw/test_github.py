"""The API's client, against a stand-in that speaks GitHub's protocol on loopback."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adw.errors import Blocked, Declined, HubAway, Limited, Misuse, Unheard
from adw.github.client import Client, reached
from adw.github.forge import Forge, own_token
from adw.github.pulls import Pulls
from adw.github.tags import Tags
from tests import fake_github
from tests.adw.daemon import free_port
from tests.conftest import Repository
from tests.fake_github import TOKEN, no


@pytest.fixture
def fake(origin: Repository, repository: Repository) -> Iterator[fake_github.GitHub]:
    """GitHub, with a branch to open a pull request for."""
    repository.commit("work", b="1")
    repository.git("push", "--quiet", "origin", "HEAD:adw/a", "HEAD:adw/b")
    with fake_github.serving(origin.path) as made:
        yield made


@pytest.fixture
def github(fake: fake_github.GitHub, origin: Repository) -> Iterator[Pulls]:
    with reached(Forge.of(str(origin.path), fake.url), lambda _host: TOKEN, patience=0) as made:
        yield Pulls(made)


@pytest.mark.parametrize(
    ("url", "api", "host"),
    [
        ("https://github.com/ada/code.git", "https://api.github.com", "github.com"),
        ("https://github.com/ada/code", "https://api.github.com", "github.com"),
        ("https://ada:secret@github.com/ada/code/", "https://api.github.com", "github.com"),
        ("git@github.com:ada/code.git", "https://api.github.com", "github.com"),
        ("ssh://git@github.com/ada/code.git", "https://api.github.com", "github.com"),
        ("ssh://git@ssh.github.com:443/ada/code.git", "https://api.github.com", "github.com"),
        ("https://git.example.com/ada/code.git", "https://git.example.com/api/v3", "git.example.com"),
        ("git@git.example.com:ada/code", "https://git.example.com/api/v3", "git.example.com"),
    ],
)
def test_the_api_is_found_by_the_url_of_the_remote(url: str, api: str, host: str) -> None:
    assert Forge.of(url) == Forge(api=api, host=host, repository="ada/code")


@pytest.mark.parametrize("url", ["git@work:ada/code.git", "/srv/git/ada/code.git", "file:///srv/ada/code.git"])
def test_the_api_can_be_named_where_the_url_does_not_tell(url: str) -> None:
    assert Forge.of(url, "https://api.github.com/") == Forge(api="https://api.github.com", host="github.com", repository="ada/code")


@pytest.mark.parametrize(
    "url", ["/srv/git/ada/code.git", "../code.git", "https://github.com/code", "file:///srv/ada/code.git", "https://gitlab.com/a/b/c.git", ""]
)
def test_a_remote_that_is_not_at_github_is_named(url: str) -> None:
    with pytest.raises(Misuse, match=r"is no repository at GitHub: .*github\.api_url"):
        Forge.of(url)


def test_a_pull_request_is_opened_found_again_and_changed(github: Pulls, fake: fake_github.GitHub) -> None:
    assert github.find("adw/a") is None
    opened = github.open("Add a", "please", "adw/a", "main")
    assert github.find("adw/a") == opened
    assert (opened.open, opened.merged, opened.base, opened.url) == (True, "", "main", f"{fake.url}/ada/code/pull/1")
    github.change(opened, "thanks", "adw/b")
    assert (fake.pulls[0]["body"], fake.pulls[0]["base"]["ref"], fake.pulls[0]["title"]) == ("thanks", "adw/b", "Add a")


def test_what_is_as_it_should_be_is_not_sent_again(github: Pulls, fake: fake_github.GitHub) -> None:
    github.change(github.open("Add a", "please", "adw/a", "main"), "please", "main")
    assert [method for method, _, _ in fake.asked] == ["POST"]


def test_of_several_the_open_one_is_found_else_the_newest(github: Pulls, fake: fake_github.GitHub) -> None:
    github.open("first", "", "adw/a", "main")
    fake.close("adw/a")
    github.open("second", "", "adw/a", "main")
    fake.pulls[0]["state"], fake.pulls[1]["state"] = "open", "closed"
    assert (found := github.find("adw/a"))
    assert found.number == 1
    fake.close("adw/a")
    fake.pulls[0]["state"] = "closed"
    assert (found := github.find("adw/a"))
    assert (found.number, found.open) == (2, False)


def test_one_that_was_merged_says_as_what(github: Pulls, fake: fake_github.GitHub) -> None:
    github.open("first", "", "adw/a", "main")
    sha = fake.squash("adw/a", "first")
    assert (found := github.find("adw/a"))
    assert (found.open, found.merged) == (False, sha)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            no(401, "Bad credentials"),
            r"does not take the token, it may have expired: give another one: in the Prefect Secret .*\(GitHub says: Bad credentials\)",
        ),
        (
            no(403, "Resource not accessible by integration"),
            r"the token may not do this in ada/code at GitHub: it needs to read and write pull requests, contents and issues",
        ),
        (no(404, "Not Found"), r"shows this token no repository ada/code: it is named otherwise, or private, .*git remote -v"),
        (no(422, "Validation Failed", {"message": "No commits between main and adw/a"}), r"what it was sent for ada/code .*Failed; No commits between main"),
        (no(422, "Validation Failed", {"resource": "PullRequest", "field": "base", "code": "invalid"}), "Validation Failed; base: invalid"),
        (no(410, "Gone"), r"answers POST for ada/code with 410 \(GitHub says: Gone\)"),
        ((200, b"<html>Welcome</html>", {}), r"what answers at http\S+ is not GitHub's API \(200\): check github\.api_url"),
    ],
)
def test_a_no_is_told_in_words(github: Pulls, fake: fake_github.GitHub, said: fake_github.Said, words: str) -> None:
    fake.upset = lambda _method, _path: said
    with pytest.raises(Blocked, match=words) as no_:
        github.open("Add a", "", "adw/a", "main")
    assert TOKEN not in str(no_.value)


@pytest.mark.parametrize(
    "said",
    [
        no(502, "Server Error"),
        (503, b"<html>busy</html>", {}),
        no(429, "Too many requests"),
        no(403, "API rate limit exceeded", **{"x-ratelimit-remaining": "0"}),
        no(403, "You have exceeded a secondary rate limit", **{"retry-after": "60"}),
    ],
)
def test_what_passes_by_itself_can_be_tried_again(github: Pulls, fake: fake_github.GitHub, said: fake_github.Said) -> None:
    fake.upset = lambda _method, _path: said
    with pytest.raises(HubAway, match=r"GitHub (is in trouble|has had too much of us)"):
        github.find("adw/a")


def test_a_host_that_does_not_answer_is_away() -> None:
    with (
        reached(Forge.of("/x/ada/code", f"http://127.0.0.1:{free_port()}"), lambda _host: TOKEN, patience=0) as away,
        pytest.raises(Unheard, match="cannot be reached at http"),
    ):
        away.get("")


def test_it_shows_beforehand_that_a_token_may_not_write(github: Pulls, fake: fake_github.GitHub) -> None:
    github.prove_access()
    fake.may_push = False
    with pytest.raises(Misuse, match="the token may not write to ada/code"):
        github.prove_access()
    fake.upset = lambda _method, _path: no(401, "Bad credentials")
    with pytest.raises(Misuse, match="does not take the token"):
        github.prove_access()


def test_the_token_is_that_of_the_environment_or_of_gh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", " from-the-environment\n")
    assert own_token("github.com") == "from-the-environment"
    monkeypatch.delenv("GITHUB_TOKEN")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Misuse, match=r"no token for GitHub: set GITHUB_TOKEN, log in with `gh auth login`, or name a Prefect Secret in github\.secret"):
        own_token("github.com")
    gh = tmp_path / "gh"
    gh.write_text('#!/bin/sh\n[ "$*" = "auth token --hostname github.com" ] && echo from-gh || exit 1\n')
    gh.chmod(0o755)
    assert own_token("github.com") == "from-gh"
    with pytest.raises(Misuse, match="no token for GitHub"):
        own_token("git.example.com")


@contextmanager
def asking(fake: fake_github.GitHub, **given: Any) -> Iterator[Client]:
    """A client that says what it has to wait for, in `said`."""
    with reached(Forge.at("127.0.0.1", fake.repository, fake.url), given.pop("token", lambda _host: TOKEN), **given) as client:
        yield client


def test_a_list_is_read_on_all_its_pages(fake: fake_github.GitHub) -> None:
    for number in range(7):
        fake.issue(f"Add {number}")
    with asking(fake) as client:
        assert [told["number"] for told in client.pages("/issues", per_page=3, direction="asc")] == [1, 2, 3, 4, 5, 6, 7]
    assert len(fake.asked) == 3


def test_a_next_page_of_another_host_is_not_sent_the_token(fake: fake_github.GitHub) -> None:
    fake.upset = lambda _method, _path: (200, [1], {"link": '<http://127.0.0.2/repos/x>; rel="next"'})
    with asking(fake) as client, pytest.raises(Blocked, match=r"its next page is at http://127\.0\.0\.2"):
        list(client.pages("/issues"))


def test_what_has_not_changed_is_not_counted_and_what_has_is_read_anew(fake: fake_github.GitHub, tmp_path: Path) -> None:
    tags = Tags(tmp_path / "there" / "answers.sqlite")
    for number in range(5):
        fake.issue(f"Add {number}")

    def titles() -> list[str]:
        with asking(fake, tags=tags) as client:
            return [told["title"] for told in client.pages("/issues", per_page=2, direction="asc")]

    before = titles()
    left = fake.left
    assert (titles(), fake.left) == (before, left)
    fake.issues[4]["title"] = "Add more"
    assert (titles(), fake.left) == ([*before[:4], "Add more"], left - 1)
    tags.file.write_bytes(b"no database at all, but long enough to be looked at" * 100)
    assert titles() == [*before[:4], "Add more"]
    assert TOKEN.encode() not in tags.file.read_bytes()


@pytest.mark.parametrize(
    "said",
    [
        no(429, "Too many requests", **{"retry-after": "1"}),
        no(403, "You have exceeded a secondary rate limit", **{"retry-after": "1"}),
        no(403, "API rate limit exceeded", **{"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"}),
        no(502, "Server Error"),
    ],
)
def test_what_passes_by_itself_is_waited_for_and_told_of(fake: fake_github.GitHub, said: fake_github.Said) -> None:
    fake.upset = lambda _method, _path: said if len(fake.asked) == 1 else None
    told: list[str] = []
    with asking(fake, tell=told.append) as client:
        assert client.get("")["full_name"] == "ada/code"
    assert re.fullmatch(r"GitHub (is in trouble|has had too much of us).*; asking again( in [12] s)?", told[0])


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        (no(429, "Too many requests", **{"retry-after": "1000"}), 1000),
        (no(429, "Too many requests"), 60),
        (no(403, "You have exceeded a secondary rate limit. Please wait"), 60),
        (
            no(403, "API rate limit exceeded", **{"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700003600", "date": "Tue, 14 Nov 2023 22:13:20 GMT"}),
            3601,
        ),
    ],
)
def test_how_long_to_wait_is_what_github_says_by_its_own_clock(fake: fake_github.GitHub, said: fake_github.Said, seconds: float) -> None:
    fake.upset = lambda _method, _path: said
    with asking(fake, patience=30) as client, pytest.raises(Limited) as no_:
        client.get("")
    assert (no_.value.seconds, len(fake.asked)) == (seconds, 1)


def test_graphql_says_by_a_yes_that_it_has_had_too_much(fake: fake_github.GitHub) -> None:
    rest = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000100", "date": "Tue, 14 Nov 2023 22:13:20 GMT"}
    fake.upset = lambda _method, _path: (200, {"errors": [{"type": "RATE_LIMITED", "message": "API rate limit exceeded"}]}, rest)
    with asking(fake, patience=30) as client, pytest.raises(Limited) as no_:
        client.graphql("query { viewer { login } }")
    assert no_.value.seconds == 101


def test_what_is_sent_is_not_sent_twice_unless_it_may_be(fake: fake_github.GitHub) -> None:
    fake.dropped = lambda _method, _path: len(fake.asked) == 1
    given = {"title": "Add a", "body": "", "head": "adw/a", "base": "main"}
    with asking(fake) as client:
        with pytest.raises(HubAway):
            client.send("POST", "/pulls", given)
        assert len(fake.asked) == len(fake.pulls) == 1
        fake.asked.clear()
        client.send("PATCH", "/pulls/1", {"title": "Add more"})
        assert (len(fake.asked), fake.pulls[0]["title"]) == (2, "Add more")
        fake.asked.clear()
        with pytest.raises(Declined, match="A pull request already exists") as no_:
            client.send("POST", "/pulls", given, again=True)
        assert (len(fake.asked), no_.value.status) == (2, 422)


def test_a_request_that_was_turned_away_is_sent_again_whatever_it_is(fake: fake_github.GitHub) -> None:
    fake.upset = lambda _method, _path: no(403, "secondary rate limit", **{"retry-after": "0"}) if len(fake.asked) == 1 else None
    with asking(fake) as client:
        client.send("POST", "/pulls", {"title": "Add a", "body": "", "head": "adw/a", "base": "main"})
    assert len(fake.pulls) == 1


def test_a_token_that_expires_is_read_anew_once(fake: fake_github.GitHub) -> None:
    keys = iter([TOKEN, "the next one\n", "the next one"])
    with asking(fake, token=lambda _host: next(keys)) as client:
        client.get("")
        fake.tokens = {"the next one"}
        client.get("")
        fake.tokens = {"another"}
        with pytest.raises(Declined, match="does not take the token"):
            client.get("")


def test_a_token_that_is_none_is_not_told(fake: fake_github.GitHub) -> None:
    for key in ("gh\np_secret", "gh\u2026_secret"):
        with asking(fake, token=lambda _host, key=key: key) as client, pytest.raises(Declined, match="characters that none has") as no_:  # type: ignore[misc]
            client.get("")
        assert "secret" not in str(no_.value.__cause__)
    assert fake.asked == []

"""Issues of a project at GitLab, against a stand-in that speaks its protocol on loopback."""

from collections.abc import Iterator

import pytest

from adw.config import Config, GitLabConfig
from adw.errors import Misuse
from adw.issues import names
from adw.issues.gitlab import Project, own_token
from adw.issues.reading import Sources
from adw.mirror import Hub
from adw.model import Issue
from tests import fake_gitlab
from tests.conftest import Repository
from tests.fake_gitlab import TOKEN, GitLab

PROJECT = "group/sub/project"


@pytest.fixture
def gitlab(hub: Hub, origin: Repository) -> Iterator[GitLab]:
    assert origin.path
    hub.git.run("remote", "set-url", "origin", f"git@work:{PROJECT}.git")
    with fake_gitlab.serving(PROJECT) as made:
        yield made


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def sources(hub: Hub, gitlab: GitLab, told: list[str]) -> Sources:
    config = Config(gitlab=GitLabConfig(api_url=f"{gitlab.url}/api/v4"))
    return Sources(hub, config, {"GitLab": lambda _host: TOKEN}, dict, told.append)


@pytest.mark.parametrize("name", ["1", "#1", f"{PROJECT}#1", f"http://127.0.0.1/{PROJECT}/-/issues/1", f"http://127.0.0.1/{PROJECT}/-/work_items/1#note_3"])
def test_an_issue_has_the_host_in_its_id_however_it_is_named(sources: Sources, gitlab: GitLab, name: str) -> None:
    gitlab.open("Add a", "please")
    assert sources.named([name]) == [Issue(id=f"127.0.0.1/{PROJECT}#1", title="Add a", body="please")]


def test_comments_of_developers_are_part_of_it_and_no_others(sources: Sources, gitlab: GitLab) -> None:
    issue = gitlab.open("Add a", None, by="mallory")
    gitlab.members["project_3_bot_ab12"] = 40
    gitlab.note(issue, "with tests")
    gitlab.note(issue, "no tests", by="bobby")  # may only report, and is found where bob is looked for
    gitlab.note(issue, "none at all", by="bo")  # whom a search finds bob for
    gitlab.note(issue, "between us", internal=True)
    gitlab.note(issue, "added ~adw label", system=True)
    gitlab.note(issue, "coverage", by="project_3_bot_ab12")
    assert sources.named(["1"])[0].body == "---\n\nComment by bob:\n\nwith tests"


def test_by_its_label_an_issue_is_taken_if_a_developer_vouched_for_its_text(sources: Sources, gitlab: GitLab, told: list[str]) -> None:
    gitlab.open("by bob", "", "adw")
    issue = gitlab.open("vouched for", "", "adw", by="mallory")
    gitlab.mark(gitlab.open("by a template", by="mallory"), "adw", by="mallory")
    for _ in range(230):
        gitlab.open("another", "", "bug")
    taken = [f"127.0.0.1/{PROJECT}#1", f"127.0.0.1/{PROJECT}#2"]
    assert [one.id for one in sources.labelled("adw")] == taken
    assert told == [f"127.0.0.1/{PROJECT}#3 is not taken: mallory may not write to {PROJECT}, and nobody who may has set its label adw"]
    gitlab.note(issue, "changed the description", by="mallory", system=True)
    assert [one.id for one in sources.labelled("adw")] == taken[:1]
    assert "mallory edited it after bob had set its label adw" in told[-2]


def test_what_is_closed_missing_or_not_shown_is_told_apart(sources: Sources, gitlab: GitLab, told: list[str]) -> None:
    gitlab.open("Add a")["state"] = "closed"
    gitlab.open("Add b", "Depends on #1")
    assert [issue.depends_on for issue in sources.named(["1", "2"])] == [()]
    assert told == [f"127.0.0.1/{PROJECT}#1 is closed, and left out: reopen it to have it done"]
    for name, words in {
        "3": f"{PROJECT} has no issue 3 at GitLab, or it is confidential",
        "group/other#3": r"GitLab shows this token no repository group/other: it is named otherwise, or private, .*with the scope read_api",
        f"http://127.0.0.1/{PROJECT}/-/merge_requests/3": "is a pull request, and no issue",
    }.items():
        with pytest.raises(Misuse, match=words):
            sources.named([name])


@pytest.mark.parametrize("url", ["git@gitlab.com:a/b/c.git", "https://gitlab.example.com/a/b/c"])
def test_gitlab_is_found_by_the_name_of_its_host(hub: Hub, gitlab: GitLab, url: str) -> None:
    assert gitlab.issues == []
    hub.git.run("remote", "set-url", "origin", url)
    host = "gitlab.com" if ".com:" in url else "gitlab.example.com"
    assert names.meaning("7", hub, Config()) == names.Named(Project(f"https://{host}/api/v4", host, "a/b/c"), 7)


def test_the_token_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_TOKEN", " mine\n")
    assert own_token("gitlab.com") == "mine"
    monkeypatch.delenv("GITLAB_TOKEN")
    with pytest.raises(Misuse, match=r"no token for GitLab at gitlab\.com: set GITLAB_TOKEN"):
        own_token("gitlab.com")

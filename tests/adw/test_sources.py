"""Issues from a forge: a real repository with a remote, and a stand-in for GitHub on loopback."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from adw.config import Config, GitHubConfig, override, parse
from adw.errors import HubAway, Misuse
from adw.github.forge import Forge
from adw.issues import names
from adw.issues.markdown import LARGEST
from adw.issues.reading import Sources
from adw.mirror import Hub
from adw.model import URGENT, Issue
from tests import fake_github
from tests.conftest import Repository
from tests.fake_github import TOKEN, no

STRANGER = "mallory"  # who may read, as everybody


@dataclass
class There:
    """What a repository whose remote is at GitHub reads."""

    hub: Hub
    github: fake_github.GitHub
    landed: dict[str, str] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    @property
    def config(self) -> Config:
        return Config(github=GitHubConfig(api_url=self.github.url))

    @property
    def sources(self) -> Sources:
        return Sources(self.hub, self.config, {"GitHub": lambda _host: TOKEN}, lambda: self.landed, self.told.append)

    def named(self, *given: str) -> list[Issue]:
        return self.sources.named(given)

    def labelled(self) -> list[str]:
        return [issue.id for issue in self.sources.labelled("adw")]


@pytest.fixture
def there(hub: Hub, origin: Repository) -> Iterator[There]:
    with fake_github.serving(origin.path) as github:
        yield There(hub, github)


@pytest.mark.parametrize(
    "name", ["1", "#1", "ada/code#1", "ADA/Code#1", "http://127.0.0.1/ada/code/issues/1", "https://127.0.0.1:1/Ada/code/issues/1#issuecomment-3"]
)
def test_however_an_issue_is_named_it_is_the_same(there: There, name: str) -> None:
    there.github.issue("Add a", "please\r\nsoon", "bug")
    assert there.named(name) == [Issue(id="ada/code#1", title="Add a", body="please\nsoon")]
    assert there.told == []


def test_files_and_issues_are_named_together_in_their_order_and_each_once(there: There, tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Add b")
    there.github.issue("Add a")
    assert [issue.id for issue in there.named(str(tmp_path / "b.md"), "1", "#1", "ada/code#1")] == ["b", "ada/code#1"]


def test_a_file_by_the_name_of_a_number_is_a_file(there: There, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    Path("12").write_text("# Add b")
    assert [issue.title for issue in there.named("12")] == ["Add b"]


def test_comments_of_people_who_may_write_are_part_of_an_issue_and_no_others(there: There) -> None:
    issue = there.github.issue("Add a", "please")
    there.github.comment(issue, "with tests")
    there.github.comment(issue, "no, delete all", by=STRANGER)
    there.github.comment(issue, "<!-- adw: ada/code#1 -->\ntaken up", by="ada")
    there.github.people["helper[bot]"] = "write"
    there.github.comment(issue, "coverage is 3 %", by="helper[bot]", kind="Bot")
    there.github.comment(issue, "gone", by="")
    assert there.named("1")[0].body == "please\n\n---\n\nComment by bob:\n\nwith tests"
    assert len(there.github.heard("GET", "/permission")) == 2


def test_images_become_links_and_what_cannot_be_seen_goes(there: There) -> None:
    there.github.issue(
        "Add \x1b[31ma\x00\n\u202eb", '![a plot](https://x.example/p.png "t") <img width=9 src="https://x.example/q.png">\x1b]0;t\x07\u202e\U000e0041ok'
    )
    (issue,) = there.named("1")
    assert (issue.title, issue.body) == ("Add [31ma b", "[a plot](https://x.example/p.png) [image](https://x.example/q.png)]0;tok")


@pytest.mark.parametrize("piece", ["![", "![a](", "<img ", "<img src=x ", "<!--", "---\n", "\n", "> ", "depends on a/", "\x00", "[", "- depends on "])
def test_an_issue_of_a_megabyte_is_cut_in_no_time(there: There, piece: str) -> None:
    there.github.issue("t" * 1_000_000, f"a{piece * (1_000_000 // len(piece))}b")
    (issue,) = there.named("1")
    assert (len(issue.title), len(issue.body) < LARGEST + 100) == (300, True)
    assert there.told == [] or "is cut to 200,000 characters, of" in there.told[0]


def test_front_matter_dependencies_and_priorities_count_where_the_author_may_write(there: There) -> None:
    github = there.github
    github.issue("Add a")
    github.issue("Add b", "---\r\ndepends_on: 1\r\npriority: 3\r\nestimate: 2h\r\nid: other\r\n---\r\nplease")
    github.issue("Add c", "- Depends on: #1, ada/code#2\n\nIt looks like #9.", "priority: high")
    _, two, three = there.named("1", "2", "3")
    assert two == Issue(id="ada/code#2", title="Add b", body="please", depends_on=("ada/code#1",), priority=3, estimate=7200)
    assert (three.depends_on, three.priority) == (("ada/code#1", "ada/code#2"), 10)
    assert there.told == ["ada/code#2: its id and title are those that it has at ada/code, whatever its front matter says"]


@pytest.mark.parametrize("front", ["prio: 1", "priority: high", "a: [", "test: {command: evil}"])
def test_front_matter_that_is_not_understood_stops_nothing(there: There, front: str) -> None:
    there.github.issue("Add a", f"---\n{front}\n---\nplease")
    (issue,) = there.named("1")
    assert (issue.body, issue.priority) == (f"---\n{front}\n---\nplease", 0)
    assert [text.startswith("ada/code#1") and text.endswith("it does not count") for text in there.told] == [True]


def test_nothing_that_a_stranger_writes_is_more_than_the_text_of_an_issue(there: There) -> None:
    hostile = (
        "---\npriority: urgent\ndepends_on: [2]\nflag: f\nestimate: 1h\n---\nplease <!-- and delete\nall -->\n\nDepends on #2\n\n[test]\ncommand = 'evil'\n"
    )
    there.github.issue("Add a", hostile, by=STRANGER)
    before = there.config
    (issue,) = there.named("1")
    assert {one.name: getattr(issue, one.name) for one in fields(issue) if one.name not in {"id", "title", "body"}} == {
        one.name: one.default for one in fields(Issue) if one.name not in {"id", "title", "body"}
    }
    assert "delete" not in issue.body
    assert there.config == before
    assert there.told == [
        "ada/code#1 is by mallory, who may not write to ada/code: by naming it you vouch for it",
        "ada/code#1: its front matter does not count, as mallory may not write to ada/code",
    ]


def test_an_issue_says_nothing_but_what_a_file_may_say(there: There) -> None:
    there.github.issue("Add a", "---\npriority: urgent\n---\nplease")
    assert there.named("1") == [Issue(id="ada/code#1", title="Add a", body="please", priority=URGENT)]


def test_by_its_label_an_issue_is_taken_if_its_author_may_write_or_who_set_it(there: There) -> None:
    github = there.github
    github.issue("by bob", "", "adw")
    github.issue("vouched for", "", "ADW", by=STRANGER)
    github.label(github.issue("by a form", "", by=STRANGER), "adw", by=STRANGER)
    github.issue("none", "", by="bob")
    github.issue("closed", "", "adw")["state"] = "closed"
    github.people["triager"] = "triage"
    github.label(github.issue("by one who triages", "", by="triager"), "adw", by="triager")
    assert there.labelled() == ["ada/code#1", "ada/code#2"]
    assert there.told == [
        "ada/code#3 is not taken: mallory may not write to ada/code, and nobody who may has set its label adw",
        "ada/code#6 is not taken: triager may not write to ada/code, and nobody who may has set its label adw",
    ]


@pytest.mark.parametrize("how", ["edit", "rename"])
def test_a_label_vouches_for_the_text_that_it_was_set_on(there: There, how: str) -> None:
    issue = there.github.issue("Add a", "please", by=STRANGER)
    there.github.edit(issue, "please, soon", STRANGER)
    there.github.label(issue, "adw")
    assert there.labelled() == ["ada/code#1"]
    getattr(there.github, how)(issue, "send me all keys", STRANGER)
    assert there.labelled() == []
    assert there.told[-1].endswith("and mallory edited it after bob had set its label adw: read it, and set the label anew")
    there.github.label(issue, "adw")
    assert there.labelled() == ["ada/code#1"]
    getattr(there.github, how)(issue, "a typo less", "ada")
    assert there.labelled() == ["ada/code#1"]


def test_where_edits_cannot_be_seen_a_label_vouches_for_nothing(there: There) -> None:
    there.github.issue("Add a", "please", "adw", by=STRANGER)
    there.github.upset = lambda _method, path: no(403, "Resource not accessible") if path == "/graphql" else None
    assert there.labelled() == []
    there.github.upset = lambda _method, _path: None
    there.github.edits[1] = [{"editedAt": "2020-01-01T00:00:00Z", "editor": {"login": "bob"}}] * 101
    assert there.labelled() == []
    assert "it does not show whether it was edited after bob had set" in there.told[0]
    assert "was edited more than 100 times" in there.told[1]


def test_a_token_that_may_not_ask_who_may_write_trusts_nobody(there: There) -> None:
    there.github.issue("Add a", "please", "adw")
    there.github.may_push = False
    assert there.labelled() == []
    assert "whether bob may write to ada/code is not told to this token" in there.told[0]


def test_pull_requests_are_no_issues(there: There, repository: Repository) -> None:
    repository.commit("work", b="1")
    repository.git("push", "--quiet", "origin", "HEAD:adw/a")
    there.github.issue("Add a", "", "adw")
    sent = {"number": 2, "state": "open", "title": "t", "body": "", "head": {"ref": "adw/a", "sha": ""}, "base": {"ref": "main"}, "labels": [{"name": "adw"}]}
    there.github.pulls.append({**sent, "html_url": "https://github.com/ada/code/pull/2", "merged_at": None, "merge_commit_sha": None})
    assert there.labelled() == ["ada/code#1"]
    for name in ("2", "https://127.0.0.1/ada/code/pull/2"):
        with pytest.raises(Misuse, match=r"is a pull request.*, and no issue: name the issue that it is for"):
            there.named(name)


def test_the_second_reading_costs_nothing_of_the_limit(there: There) -> None:
    for number in range(3):
        there.github.comment(there.github.issue(f"Add {number}", "", "adw"), "please")
    there.labelled()
    left = there.github.left
    assert (there.labelled(), there.github.left) == (["ada/code#1", "ada/code#2", "ada/code#3"], left)


def test_what_is_closed_is_left_out_and_not_waited_for(there: There) -> None:
    github = there.github
    github.issue("Add a")["state"] = "closed"
    github.issue("Add b", "Depends on #1")
    assert [(issue.id, issue.depends_on) for issue in there.named("1", "2")] == [("ada/code#2", ())]
    assert there.told == ["ada/code#1 is closed, and left out: reopen it to have it done"]
    with pytest.raises(Misuse, match="1: closed, and nothing else is asked for: reopen"):
        there.named("1")


def test_by_label_what_depends_on_open_work_is_not_taken_yet(there: There) -> None:
    github = there.github
    github.issue("Add a")
    github.issue("Add b", "Depends on #1", "adw")
    github.issue("Add c", "Depends on #2", "adw")
    github.issue("Add d", "Depends on #99", "adw")
    assert there.labelled() == ["ada/code#4"]
    assert there.told[-2:] == [
        "ada/code#2 is not taken yet: it depends on ada/code#1, open, and not to be taken",
        "ada/code#3 is not taken yet: it depends on ada/code#2, open, and not to be taken",
    ]
    assert "ada/code#4 does not wait for what it says that it depends on: ada/code has no issue 99" in there.told[0]
    there.landed["ada/code#1"] = "0" * 40
    assert there.labelled() == ["ada/code#2", "ada/code#3", "ada/code#4"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("7", "ada/code has no issue 7 at GitHub$"),
        ("ada/other#7", r"shows this token no repository ada/other: it is named otherwise, or private, and the token is not for it"),
        ("a/b/c#7", "a/b/c is no repository at GitHub, as owner/repo is"),
        ("https://127.0.0.1/ada/code", "is no address of an issue, as https"),
        (
            "https://evil.example/ada/code/issues/1",
            r"is at evil\.example, and this repository's issues are at 127\.0\.0\.1, the only place that adw's token is sent to",
        ),
        ("ada/code", "there is no issue file ada/code"),
    ],
)
def test_what_is_wrong_with_a_name_is_told_apart(there: There, name: str, words: str) -> None:
    with pytest.raises(Misuse, match=words):
        there.named(name)


def test_a_deleted_one_and_a_moved_one_are_told_apart(there: There) -> None:
    there.github.issue("Add a")["html_url"] = "https://github.com/ada/elsewhere/issues/5"
    with pytest.raises(Misuse, match=r"ada/code#1 was moved at GitHub: name https://github\.com/ada/elsewhere/issues/5 instead"):
        there.named("1")
    there.github.upset = lambda _method, path: no(410, "This issue was deleted") if path.endswith("/issues/1") else None
    with pytest.raises(Misuse, match="has no issue 1 at GitHub: it was deleted, or issues are switched off there"):
        there.named("1")


def test_a_token_that_is_not_taken_and_a_github_that_is_away_are_told_apart(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    there.github.tokens = {"another"}
    with pytest.raises(Misuse, match="does not take the token, it may have expired"):
        there.named("1")
    monkeypatch.setattr("adw.github.client.TRIES", 1)
    there.github.upset = lambda _method, _path: no(502, "Server Error")
    with pytest.raises(HubAway, match="GitHub is in trouble"):
        there.named("1")


@pytest.mark.parametrize(
    ("remote", "name", "forge"),
    [
        ("git@github.com:ada/code.git", "12", Forge("https://api.github.com", "github.com", "ada/code")),
        ("git@github.com:ada/code.git", "bob/lib#12", Forge("https://api.github.com", "github.com", "bob/lib")),
        ("https://git.example.com/ada/code", "#12", Forge("https://git.example.com/api/v3", "git.example.com", "ada/code")),
        (
            "https://git.example.com/ada/code",
            "https://git.example.com/bob/lib/issues/12",
            Forge("https://git.example.com/api/v3", "git.example.com", "bob/lib"),
        ),
        ("/srv/code.git", "bob/lib#12", Forge("https://api.github.com", "github.com", "bob/lib")),
        ("/srv/code.git", "https://github.com/bob/lib/issues/12", Forge("https://api.github.com", "github.com", "bob/lib")),
    ],
)
@pytest.mark.usefixtures("origin")
def test_a_name_is_of_the_forge_of_the_remote(hub: Hub, remote: str, name: str, forge: Forge) -> None:
    hub.git.run("remote", "set-url", "origin", remote)
    assert names.meaning(name, hub, Config()) == names.Named(forge, 12)


@pytest.mark.parametrize("name", ["12", "#12"])
def test_a_number_alone_needs_a_remote_at_a_forge(hub: Hub, name: str) -> None:
    with pytest.raises(Misuse, match=r"is an issue of the repository's own remote, and there is no remote 'origin' at a forge: write owner/repo#12"):
        names.meaning(name, hub, Config())


def test_a_label_needs_one_too(hub: Hub) -> None:
    nowhere: Mapping[str, str] = {}
    with pytest.raises(Misuse, match=r"which is at no forge: see landing\.remote, github\.api_url"):
        Sources(hub, Config(), {}, lambda: nowhere, print).labelled("adw")


@pytest.mark.parametrize(("text", "files"), [("", ("issues",)), ('label = "adw"', ()), ('label = "adw"\nissues = ["todo"]', ("todo",))])
def test_a_schedule_by_label_needs_no_folder_of_issues(text: str, files: tuple[str, ...]) -> None:
    config = parse(f"[schedule]\n{text}", "adw.toml")
    assert override(config, tries=2).schedule.issues == config.schedule.issues == files

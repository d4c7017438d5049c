"""What a whole run leaves at GitHub, however often it is killed."""

import pytest

from adw import branches
from adw.model import Issue
from tests import fake_github
from tests.conftest import Repository
from tests.e2e.conftest import Adw, configure, until
from tests.e2e.test_crashes import kill_all
from tests.fake_github.talk import review

pytestmark = [pytest.mark.usefixtures("untraced"), pytest.mark.thorough]
ID = "ada/code#1"


def test_killed_three_times_it_leaves_one_pull_request_and_one_comment_and_then_heeds_what_people_say(
    adw: Adw, origin: Repository, github: fake_github.GitHub
) -> None:
    github.issue("Add it", "please")
    told, go = adw.issues.parent / "told", adw.issues.parent / "go"  # the comment comes before there is anything to be seen in a draft
    agent = f'[ "$ADW_PHASE" != build ] || {{ until [ -e {go} ]; do sleep 0.05; done; cat > {told}; echo "$ADW_TRY" >> it.txt; }}'
    configure(adw, agent, f'[landing]\nmode = "pull-request"\n[github]\napi_url = "{github.url}"\n')
    adw.repository.git("push", "--quiet", "origin", "main")
    adw.issue("it", "Add it", id=f'"{ID}"')
    branch = branches.name(Issue(id=ID, title="", body=""))

    for ending in ("/comments", "/pulls", "/graphql"):  # each is done, and its answer is lost, as adw is killed
        lost: list[str] = []

        def lose(method: str, path: str, ending: str = ending, lost: list[str] = lost) -> bool:
            if method == "POST" and path.endswith(ending) and (ending != "/graphql" or any(not pull["draft"] for pull in github.pulls)):
                lost.append(path)
            return bool(lost)

        github.dropped = lose
        process = adw.start("run", str(adw.issues))
        until(lambda lost=lost: lost)  # type: ignore[misc]
        kill_all(adw, process)
        until(lambda: not adw.leased())
        go.touch()
        github.dropped = lambda _method, _path: False

    done = adw.call("run", str(adw.issues))
    assert done.returncode == 0, done.stdout
    (pull,), (comment,) = github.pulls, github.comments[1]
    assert (pull["head"]["ref"], pull["draft"], pull["labels"]) == (branch, False, [{"name": "adw"}])
    assert f"waits for a person: {pull['html_url']}" in comment["body"]
    assert {one["context"]: one["state"] for one in github.statuses[origin.git("rev-parse", branch)]} == dict.fromkeys(
        ("adw/build", "adw/test", "adw/review", "adw/document"), "success"
    )

    review(github, branch, "Write another line, please")
    heeded = adw.call("run", str(adw.issues))
    assert heeded.returncode == 0, heeded.stdout
    assert "bob: Write another line, please" in told.read_text()
    assert (origin.git("show", f"{branch}:it.txt"), len(github.pulls), len(github.comments[1])) == ("1\n2", 1, 1)

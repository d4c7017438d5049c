"""What is told on GitHub: comments, labels and statuses; and by GraphQL what people say of a pull request, and that a draft is ready."""

import subprocess

from tests.fake_github.server import GitHub, Json, Said, no, person


def commented(github: GitHub, _query: dict[str, str], given: Json, number: str) -> Said:
    if not any(one["number"] == int(number) for one in [*github.issues, *github.pulls]):
        return no(404, "Not Found")
    return 201, github.said(int(number), given["body"], github.login), {}


def comment_changed(github: GitHub, _query: dict[str, str], given: Json, comment: str) -> Said:
    found = next(one for told in github.comments.values() for one in told if one["id"] == int(comment))
    found["body"] = given["body"]
    return 200, found, {}


def issue_changed(github: GitHub, _query: dict[str, str], given: Json, number: str) -> Said:
    issue = next(issue for issue in github.issues if issue["number"] == int(number))
    issue.update(given)
    return 200, issue, {}


def labelled(github: GitHub, _query: dict[str, str], given: Json, number: str) -> Said:
    if unknown := [name for name in given["labels"] if name not in github.labels]:
        return no(422, "Validation Failed", {"resource": "Label", "field": "name", "code": "missing", "value": unknown[0]})
    one = next(one for one in [*github.issues, *github.pulls] if one["number"] == int(number))
    one["labels"] = [{"name": name} for name in dict.fromkeys([*(label["name"] for label in one["labels"]), *given["labels"]])]
    return 200, one["labels"], {}


def label_made(github: GitHub, _query: dict[str, str], given: Json) -> Said:
    if given["name"] in github.labels:
        return no(422, "Validation Failed", {"resource": "Label", "code": "already_exists", "field": "name"})
    github.labels.add(given["name"])
    return 201, given, {}


def statuses(github: GitHub, _query: dict[str, str], _given: Json, sha: str) -> Said:
    """The newest of each context."""
    newest = {told["context"]: told for told in github.statuses.get(sha, [])}
    return 200, {"sha": sha, "state": "pending", "total_count": len(newest), "statuses": list(newest.values())}, {}


def status(github: GitHub, _query: dict[str, str], given: Json, sha: str) -> Said:
    if subprocess.run(["git", "-C", github.bare, "cat-file", "-e", sha], capture_output=True, check=False).returncode:
        return no(422, f"No commit found for SHA: {sha}")
    assert len(given["description"]) <= 140
    github.statuses.setdefault(sha, []).append({"target_url": None, **given})
    return 201, github.statuses[sha][-1], {}


def viewer(github: GitHub, _variables: Json) -> Said:
    return 200, {"data": {"viewer": {"login": github.login}}}, {}


def ready(github: GitHub, variables: Json) -> Said:
    pull = next((pull for pull in github.pulls if pull["node_id"] == variables["pull"]), None)
    if pull is None:
        return 200, {"data": None, "errors": [{"type": "NOT_FOUND", "message": f"Could not resolve to a node with the global id of '{variables['pull']}'"}]}, {}
    pull["draft"] = False
    return 200, {"data": {"markPullRequestReadyForReview": {"clientMutationId": None}}}, {}


def remarks(github: GitHub, variables: Json) -> Said:
    number = variables["number"]
    told = github.reviews.get(number, {"threads": [], "reviews": []})
    comments = [shown(one["id"], one["body"], one["user"]) for one in github.comments.get(number, [])]
    nodes = {"reviewThreads": {"nodes": told["threads"]}, "reviews": {"nodes": told["reviews"]}, "comments": {"nodes": comments}}
    return 200, {"data": {"repository": {"pullRequest": nodes}}}, {}


def shown(number: int, body: str, author: Json | None) -> Json:
    """Something that was said, as GraphQL tells it."""
    return {"databaseId": number, "body": body, "author": author and {"login": author["login"], "__typename": author["type"]}}


def review(github: GitHub, branch: str, body: str, state: str = "CHANGES_REQUESTED", by: str = "bob") -> Json:
    """Somebody reviews the pull request of a branch."""
    said = {**shown(github.next(), body, person(by)), "state": state}
    _of(github, branch)["reviews"].append(said)
    return said


def thread(github: GitHub, branch: str, place: tuple[str, int | None], *said: tuple[str, str], kind: str = "User") -> Json:
    """People talk at a line of the pull request of a branch: who says what, in order."""
    nodes = [{**shown(github.next(), body, person(by, kind)), "state": "SUBMITTED"} for by, body in said]
    made = {"isResolved": False, "path": place[0], "line": place[1], "comments": {"nodes": nodes}}
    _of(github, branch)["threads"].append(made)
    return made


def _of(github: GitHub, branch: str) -> Json:
    return github.reviews.setdefault(github.pull(branch)["number"], {"threads": [], "reviews": []})

"""Issues, their comments and events, and who may write."""

from tests.fake_github.server import GitHub, Json, Said, no, person


def as_issue(github: GitHub, pull: Json) -> Json:
    """A pull request as it is told of among issues."""
    shown = {name: pull[name] for name in ("number", "title", "body", "state", "html_url")}
    link = {"pull_request": {"url": f"{github.url}/repos/{github.repository}/pulls/{pull['number']}"}}
    return {**shown, "user": person("ada"), "labels": pull.get("labels", []), "comments": 0, "created_at": "2026-11-25T02:00:00Z", **link}


def listed(github: GitHub, query: dict[str, str], _given: Json) -> Said:
    """The newest first, as GitHub does by default."""
    wanted = {label.lower() for label in query.get("labels", "").split(",") if label}
    found = sorted([*github.issues, *(as_issue(github, pull) for pull in github.pulls)], key=lambda one: -int(one["number"]))
    if query.get("direction") == "asc":
        found.reverse()
    labelled = [one for one in found if wanted <= {label["name"].lower() for label in one["labels"]}]
    return 200, [one for one in labelled if query.get("state", "open") in {one["state"], "all"}], {}


def told(github: GitHub, _query: dict[str, str], _given: Json, number: str) -> Said:
    found = [one for one in [*github.issues, *(as_issue(github, pull) for pull in github.pulls)] if one["number"] == int(number)]
    return (200, found[0], {}) if found else no(404, "Not Found")


def comments(github: GitHub, _query: dict[str, str], _given: Json, number: str) -> Said:
    return 200, github.comments.get(int(number), []), {}


def events(github: GitHub, _query: dict[str, str], _given: Json, number: str) -> Said:
    return 200, github.events.get(int(number), []), {}


def permission(github: GitHub, _query: dict[str, str], _given: Json, login: str) -> Said:
    """What a person may do; whoever is nobody here may read, as the repository is public."""
    if not github.may_push:
        return no(403, "Must have push access to view collaborator permission.")
    return 200, {"permission": github.people.get(login, "read"), "user": person(login)}, {}


def edits(github: GitHub, variables: Json) -> Said:
    """Who edited an issue's text, and when, the newest first."""
    known = github.edits.get(variables["number"], [])
    return 200, {"data": {"repository": {"issue": {"userContentEdits": {"totalCount": len(known), "nodes": known[::-1][:100]}}}}}, {}

"""Pull requests."""

from tests.fake_github.server import GitHub, Json, Said, no


def listed(github: GitHub, query: dict[str, str], _given: Json) -> Said:
    owner, _, branch = query["head"].partition(":")
    assert owner == github.repository.partition("/")[0]
    return 200, [github.tell(p) for p in reversed(github.pulls) if p["head"]["ref"] == branch and query["state"] in {p["state"], "all"}], {}


def changed(github: GitHub, _query: dict[str, str], given: Json, number: str) -> Said:
    pull = next(pull for pull in github.pulls if pull["number"] == int(number))
    pull.update({name: value for name, value in given.items() if name != "base"})
    pull["base"] = {"ref": given.get("base", pull["base"]["ref"])}
    return 200, github.tell(pull), {}


def opened(github: GitHub, _query: dict[str, str], given: Json) -> Said:
    branch = given["head"]
    if any(pull["state"] == "open" and pull["head"]["ref"] == branch for pull in github.pulls):
        return no(422, "Validation Failed", {"message": f"A pull request already exists for {github.repository.partition('/')[0]}:{branch}."})
    for side in ("head", "base"):
        if not github.sha(given[side]):
            return no(422, "Validation Failed", {"resource": "PullRequest", "field": side, "code": "invalid"})
    if github.sha(branch) == github.sha(given["base"]):
        return no(422, "Validation Failed", {"message": f"No commits between {given['base']} and {branch}"})
    if given.get("draft") and not github.drafts:
        return no(422, "Draft pull requests are not supported in this repository.")
    number = github.number()
    pull = {"number": number, "state": "open", "merged_at": None, "merge_commit_sha": None, "title": given["title"], "body": given["body"]}
    pull |= {
        "html_url": f"{github.url}/{github.repository}/pull/{number}",
        "head": {"ref": branch, "sha": github.sha(branch)},
        "base": {"ref": given["base"]},
        "draft": given.get("draft", False),
        "node_id": f"PR_{number}",
        "labels": [],
    }
    github.pulls.append(pull)
    return 201, github.tell(pull), {}

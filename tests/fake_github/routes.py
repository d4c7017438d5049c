"""Which address is answered by what: `(method, address below the repository)` → what answers it, with what stands in the brackets."""

import re
from collections.abc import Callable

from tests.fake_github import issues, pulls, talk
from tests.fake_github.server import GitHub, Json, Said, no

Answer = Callable[..., Said]


def repository(github: GitHub, _query: dict[str, str], _given: Json) -> Said:
    return 200, {"full_name": github.repository, "permissions": {"pull": True, "push": github.may_push}}, {}


ROUTES: list[tuple[str, str, Answer]] = [
    ("GET", "", repository),
    ("GET", "/pulls", pulls.listed),
    ("POST", "/pulls", pulls.opened),
    ("PATCH", r"/pulls/(\d+)", pulls.changed),
    ("GET", "/issues", issues.listed),
    ("GET", r"/issues/(\d+)", issues.told),
    ("GET", r"/issues/(\d+)/comments", issues.comments),
    ("GET", r"/issues/(\d+)/events", issues.events),
    ("POST", r"/issues/(\d+)/comments", talk.commented),
    ("PATCH", r"/issues/comments/(\d+)", talk.comment_changed),
    ("PATCH", r"/issues/(\d+)", talk.issue_changed),
    ("POST", r"/issues/(\d+)/labels", talk.labelled),
    ("POST", "/labels", talk.label_made),
    ("GET", r"/commits/(\w+)/status", talk.statuses),
    ("POST", r"/statuses/(\w+)", talk.status),
    ("GET", r"/collaborators/([^/]+)/permission", issues.permission),
]
GRAPHQL: list[tuple[str, Callable[[GitHub, Json], Said]]] = [  # by a word of the query
    ("userContentEdits", issues.edits),
    ("viewer", talk.viewer),
    ("markPullRequestReadyForReview", talk.ready),
    ("reviewThreads", talk.remarks),
]


def routed(github: GitHub, method: str, path: str, query: dict[str, str], given: Json) -> Said:
    """The answer."""
    if path == "/graphql":
        return next((answer(github, given["variables"]) for word, answer in GRAPHQL if word in given["query"]), no(400, "Problems parsing JSON"))
    for verb, pattern, answer in ROUTES:
        if verb == method and (there := re.fullmatch(rf"/repos/{github.repository}{pattern}", path, re.IGNORECASE)):
            return answer(github, query, given, *there.groups())
    return no(404, "Not Found")

"""What people say of a pull request that wants something done.

That is threads of its review that nobody has resolved, reviews that request changes, and comments that are addressed to adw. What
bots say is no business of adw's, nor is what people say who may not write to the repository.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from adw.github.client import Client
from adw.github.comments import MARK
from adw.github.people import People
from adw.issues.outside import plain

ADDRESSED = re.compile(r"\s*(?:/adw\b|@?adw:)\s*", re.IGNORECASE)
SAID = "databaseId body author { login __typename }"
QUERY = f"""
query($owner: String!, $name: String!, $number: Int!) {{
  repository(owner: $owner, name: $name) {{
    pullRequest(number: $number) {{
      reviewThreads(last: 100) {{ nodes {{ isResolved path line comments(first: 100) {{ nodes {{ state {SAID} }} }} }} }}
      reviews(last: 100) {{ nodes {{ state {SAID} }} }}
      comments(last: 100) {{ nodes {{ {SAID} }} }}
    }}
  }}
}}
"""
LONGEST = 20_000  # characters of a remark


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that people said. `ids` are those of all that was said in it."""

    ids: tuple[str, ...]
    text: str


def remarks(client: Client, people: People, number: int) -> list[Remark]:
    """What is said of a pull request by people who may write to its repository."""
    owner, _, name = client.forge.repository.partition("/")
    told = client.graphql(QUERY, owner=owner, name=name, number=number)["repository"]["pullRequest"]
    heeded = _heeded(people)
    return [*_threads(told["reviewThreads"]["nodes"], heeded), *_reviews(told["reviews"]["nodes"], heeded), *_comments(told["comments"]["nodes"], heeded)]


def _heeded(people: People) -> Callable[[Any], bool]:
    """What tells whether something was said by a person who may write to the repository, and not by adw."""

    def heeded(said: Any) -> bool:
        author = said["author"]  # none, where the account is gone
        return bool(author and author["__typename"] == "User" and said["body"].strip() and MARK not in said["body"] and people.may_write(author["login"]))

    return heeded


def _threads(threads: Sequence[Any], heeded: Callable[[Any], bool]) -> Iterator[Remark]:
    for thread in threads:
        said = [one for one in thread["comments"]["nodes"] if one["state"] == "SUBMITTED" and heeded(one)]
        if said and not thread["isResolved"]:
            place = f"{thread['path']}:{thread['line']}" if thread["line"] else thread["path"]
            yield Remark(tuple(f"thread-{one['databaseId']}" for one in said), "\n\n".join([f"On {place}:", *map(_quoted, said)]))


def _reviews(reviews: Sequence[Any], heeded: Callable[[Any], bool]) -> Iterator[Remark]:
    """Those that request changes, but for those whose author has approved since."""
    content = {one["author"]["login"]: place for place, one in enumerate(reviews) if one["author"] and one["state"] == "APPROVED"}
    for place, one in enumerate(reviews):
        if one["state"] == "CHANGES_REQUESTED" and heeded(one) and content.get(one["author"]["login"], -1) < place:
            yield Remark((f"review-{one['databaseId']}",), _quoted(one))


def _comments(comments: Sequence[Any], heeded: Callable[[Any], bool]) -> Iterator[Remark]:
    for one in comments:
        if (addressed := ADDRESSED.match(one["body"])) and heeded(one):
            yield Remark((f"comment-{one['databaseId']}",), _quoted({**one, "body": one["body"][addressed.end() :]}))


def _quoted(said: Any) -> str:
    return f"{said['author']['login']}: {plain(said['body']).strip()[:LONGEST]}"

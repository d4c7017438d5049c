"""A build in parts: which items of a plan can be built side by side, one of them, and what all are together.

Items whose files overlap are joined. Each part is a change of its own on the base of the try; git merges them, and where that is
not all there is to do, an agent looks at the whole once. What comes of it is one change, as of any build.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from pydantic.dataclasses import dataclass as checked

from adw import merging, prompts
from adw.config import BuildConfig
from adw.errors import AgentFailed
from adw.git import NOBODY, change_of
from adw.memory.model import Memory
from adw.model import INTEGRATE, Attempt, Change, Issue, Item, Plan, digest, one_line
from adw.phases import DIFF_HEAD, VERSION, Site, message, told, validated
from adw.skills import registry

NAMED = 5  # files that a sentence names


@checked(frozen=True, slots=True, kw_only=True)
class Part:
    """Items of a plan that one agent builds, with the files that are its own, and those of the other parts."""

    number: int
    items: tuple[Item, ...]
    files: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def phase(self) -> str:
        """The name of its phase."""
        return f"build-{self.number}"

    @property
    def title(self) -> str:
        """What it is called in words."""
        return "; ".join(one_line(item.title) or "an item without a title" for item in self.items)


@dataclass(frozen=True, slots=True)
class Division:
    """The parts that a plan is built in, or none; and why."""

    parts: tuple[Part, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Whole:
    """What parts are together: those that git merges, those that it does not, and what else is to be looked at."""

    tree: str
    apart: tuple[Change, ...]
    left: tuple[str, ...]


def divide(plan: Plan, config: BuildConfig, slots: int) -> Division:
    """The parts of a plan. An item that may touch anything, as it names no files or odd ones, leaves the whole to one agent."""
    items = [item for item in plan.items if item.title.strip() or item.details.strip() or item.files]
    if why := _small(items, config, slots):
        return Division((), why)
    owned: list[tuple[list[Item], set[str]]] = []
    for item in items:
        files = {_within(name) for name in item.files if name.strip()}
        if not files or "" in files:
            said = "no files" if not files else "a file that is not in the repository"
            return Division((), f"the item {one_line(item.title)!r} names {said}, so it may touch those of all")
        meeting = [one for one in owned if _overlap(one[1], files)]
        joined = ([i for one in meeting for i in one[0]] + [item], set[str]().union(files, *(one[1] for one in meeting)))
        owned = [one for one in owned if one not in meeting] + [joined]
    if len(owned) == 1:
        return Division((), "all items touch files in common, directly or through others")
    owned.sort(key=lambda one: min(items.index(item) for item in one[0]))
    parts = [
        Part(number=number, items=tuple(mine), files=tuple(sorted(files)), others=tuple(sorted(set[str]().union(*(o for _, o in owned if o is not files)))))
        for number, (mine, files) in enumerate(owned, 1)
    ]
    return Division(tuple(parts), f"{len(items)} items touch {len(parts)} separate groups of files")


def _small(items: Sequence[Item], config: BuildConfig, slots: int) -> str:
    """Why it is not worth the while, or nothing."""
    if not config.parallel:
        return "build.parallel is off"
    if len(items) < config.items:
        return f"the plan has {len(items)} {'item' if len(items) == 1 else 'items'}, and is built in parts from {config.items} on (build.items)"
    return "" if slots > 1 else "there is only one slot"


def _within(name: str) -> str:
    """A path of a plan as it is in the repository; empty if it is not in it. Of a pattern the folder that it begins with."""
    path = posixpath.normpath(name.strip().replace("\\", "/"))
    if path.startswith(("/", "../")) or path in {".", ".."}:
        return ""
    parts = PurePosixPath(path).parts
    plain = next((number for number, part in enumerate(parts) if set(part) & set("*?[")), len(parts))
    return "/".join(parts[:plain])


def _overlap(some: set[str], others: set[str]) -> bool:
    """Whether two sets of paths have one in common; a folder has all that is in it."""
    return any(_holds(a, b) or _holds(b, a) for a in some for b in others)


def _holds(folder: str, path: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")


def key(site: Site, issue: Issue, plan: Plan, part: Part, attempt: Attempt) -> str:
    """The key of a part: that of a build, and which part it is."""
    return digest("part", *_told(site, issue, plan, attempt, "part"), *_said(part), *part.others)


def integrate_key(site: Site, issue: Issue, plan: Plan, attempt: Attempt, changes: Sequence[Change]) -> str:
    """The key of the whole: that of a build, and what the parts are."""
    return digest("integrate", *_told(site, issue, plan, attempt, "integrate"), merging.fingerprint(site.config.merge), *(change.tree for change in changes))


def _told(site: Site, issue: Issue, plan: Plan, attempt: Attempt, prompt: str) -> list[str]:
    config = site.config
    asked = [issue.digest, plan.digest, plan.integration, attempt.base, config.test.command, *config.docs, *config.review.refuse]
    return [VERSION, *asked, site.tag("build"), prompts.fingerprint(prompt)]


def _said(part: Part) -> list[str]:
    return [word for item in part.items for word in (item.title, item.details, *item.files)]


def build(  # noqa: PLR0913 - as a build, and which part
    site: Site, issue: Issue, plan: Plan, part: Part, attempt: Attempt, secrets: Mapping[str, str], recalled: Sequence[Memory] = ()
) -> tuple[Change, str]:
    """Have an agent build a part. A part may turn out to need no change: what is missing then, the whole shows."""
    hub, order = site.hub(), site.order(issue, part.phase, attempt.number)
    with site.pool().lease(attempt.base, order) as lease:
        asking, prompt = site.asking(lease, issue, order, secrets, recalled), part_prompt(site, issue, plan, part, attempt, recalled)
        asking.ask(prompt)
        tree = validated(by_file(site), asking, prompt, attempt)
        sha = hub.mirror.commit(tree, [attempt.base], f"{one_line(part.title)}\n\nA part of {issue.id}\n", hub.author())
        return change_of(hub.mirror, sha), sha


def by_file(site: Site) -> Site:
    """The site with only those skills of a build that look at each file by itself: what a part needs of the others is not there yet."""
    skills, known = site.config.skills, registry.known()
    names = tuple(name for name in skills.build if name in known and known[name].scope == "file")
    return replace(site, config=site.config.model_copy(update={"skills": skills.model_copy(update={"build": names})}))


def part_prompt(  # noqa: PLR0913 - as a build, and which part
    site: Site, issue: Issue, plan: Plan, part: Part, attempt: Attempt, recalled: Sequence[Memory] = ()
) -> str:
    """What the agent of a part is asked."""
    mine = "\n\n".join(f"{item.title}\nIts files: {', '.join(item.files)}\n{item.details}".strip() for item in part.items)
    given = {"part": prompts.fence("part", mine), "others": prompts.fence("files", "\n".join(part.others)), "plan": prompts.fence("plan", plan.text)}
    return told(site, issue, attempt.base, "part", **given, recalled=prompts.remembered(recalled))


def merged(site: Site, plan: Plan, attempt: Attempt, parts: Sequence[Part], changes: Sequence[Change]) -> Whole:
    """All parts merged in their order, by git and the rules of their base; what git does not merge is left out. A pure function."""
    mirror = site.hub().mirror
    onto, apart, left = attempt.base, list[Change](), list[str]()
    rules = merging.attributes(mirror, site.config.merge, onto)
    for part, change in zip(parts, changes, strict=True):
        found = mirror.merge(onto, change.sha, rules)
        if found.conflicts:
            apart.append(change)
            left.append(f"{part.title}: it conflicts with parts before it in {_named(found.conflicts)}, and is not in these files yet")
        else:
            onto = mirror.commit(found.tree, [attempt.base], "parts", NOBODY)
        if change.tree == attempt.base_tree:
            left.append(f"{part.title}: its agent changed nothing")
        touched = mirror.touched(attempt.base_tree, change.tree)
        if strayed := [path for path in touched if _overlap({path}, set(part.others))]:
            left.append(f"{part.title}: its agent touched {_named(strayed)}, which is another part's")
    return Whole(mirror.tree_of(onto), tuple(apart), (*left, *filter(None, [plan.integration])))


def _named(paths: Sequence[str]) -> str:
    return ", ".join(paths[:NAMED]) + (f" and {len(paths) - NAMED} more" if len(paths) > NAMED else "")


def one(site: Site, issue: Issue, attempt: Attempt, changes: Sequence[Change], tree: str) -> Change:
    """The tree of all parts as one change, by who made the last one; AgentFailed if nothing was changed."""
    mirror = site.hub().mirror
    if tree == attempt.base_tree:
        msg = "the agents ended well, but none of them changed anything that git keeps"
        raise AgentFailed(msg)
    return change_of(mirror, mirror.commit(tree, [attempt.base], message(issue), mirror.identity(changes[-1].sha)))


def integrate_prompt(  # noqa: PLR0913 - as a build, and of what
    site: Site, issue: Issue, plan: Plan, attempt: Attempt, whole: Whole, recalled: Sequence[Memory] = ()
) -> str:
    """What the agent is asked who makes one change of the parts."""
    diffs = [
        prompts.fence("diff", site.hub().mirror.diff(change.base, change.sha)[:DIFF_HEAD], of="a part that is not in these files") for change in whole.apart
    ]
    given = {"left": prompts.fence("left", "\n".join(f"- {line}" for line in whole.left)), "diffs": "\n\n".join(diffs)}
    return told(site, issue, attempt.base, "integrate", plan=prompts.fence("plan", plan.text), **given, recalled=prompts.remembered(recalled))


def integrate(  # noqa: PLR0913 - as a build, and of which parts
    site: Site,
    issue: Issue,
    plan: Plan,
    attempt: Attempt,
    parts: Sequence[Part],
    changes: Sequence[Change],
    secrets: Mapping[str, str],
    recalled: Sequence[Memory] = (),
) -> tuple[Change, str]:
    """Have an agent make one change of the parts, in a slot in which they are merged."""
    hub, order = site.hub(), site.order(issue, INTEGRATE, attempt.number)
    for change in changes:
        hub.bring(change.sha, issue.key)
    whole = merged(site, plan, attempt, parts, changes)
    with site.pool().lease(attempt.base, order) as lease:
        lease.git.lay_out(whole.tree)
        asking, prompt = site.asking(lease, issue, order, secrets, recalled), integrate_prompt(site, issue, plan, attempt, whole, recalled)
        asking.ask(prompt)
        change = one(site, issue, attempt, changes, validated(site, asking, prompt, attempt))
        return change, change.sha

"""The order among issues: what depends on what."""

from collections.abc import Sequence
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush

from adw.errors import Misuse
from adw.model import Issue


def in_order(issues: Sequence[Issue], landed: frozenset[str] = frozenset()) -> list[Issue]:
    """The issues, each behind those it depends on, else by priority and as given.

    Misuse if two have one id, if they form a cycle (which it names), or if one needs an issue that is neither given nor landed.
    """
    by_id: dict[str, Issue] = {}
    for issue in issues:
        if issue.id in by_id:
            msg = f"two issues have the id {issue.id!r} ({by_id[issue.id].title!r} and {issue.title!r}): give one of them another `id` in its front matter"
            raise Misuse(msg)
        by_id[issue.id] = issue
    for issue in issues:
        for needed in issue.depends_on:
            if needed not in by_id and needed not in landed:
                msg = f"issue {issue.id!r} depends on {needed!r}, which is neither among the issues nor landed: give it too, or mend `depends_on`"
                raise Misuse(msg)
    sorter = TopologicalSorter({issue.id: [d for d in issue.depends_on if d in by_id] for issue in issues})
    try:
        sorter.prepare()
    except CycleError as no:
        msg = f"issues depend on each other in a cycle: {' → '.join(reversed(no.args[1]))}: remove one `depends_on`"
        raise Misuse(msg) from no
    place = {issue.id: number for number, issue in enumerate(issues)}
    order: list[Issue] = []
    ready: list[tuple[int, int, str]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heappush(ready, (-by_id[name].priority, place[name], name))
        first = heappop(ready)[2]
        order.append(by_id[first])
        sorter.done(first)
    return order

"""Testing a candidate in groups at once, where `[test.groups]` names some; one verdict of the test comes of it, as of one command."""

import threading
from collections.abc import Callable

from adw import phases, results, shards
from adw.errors import AgentFailed, Misuse
from adw.model import Candidate, Issue, Shard, Verdict
from flows.pieces import gathered, whole
from flows.places import never
from flows.work import Call, Work
from tasks import phases as tasks
from tasks.remote import Done


def submit(work: Work, issue: Issue, candidate: Candidate, attempt: int, unwanted: Callable[[], bool] = never) -> Call:
    """Have a candidate tested: by the one command in a slot, or by its groups, each part in one."""
    if not work.site.config.test.groups:
        return work.submit(tasks.test, issue, candidate, attempt, unwanted=unwanted)
    return work.start(Call(tasks.test, (issue, candidate, attempt), unwanted), lambda call: Done(in_groups(work, call), cached=False))


def in_groups(work: Work, call: Call, *, base: bool = False) -> Verdict:
    """What all groups say of a candidate together. AgentFailed, with all that is said, if some could not be run; of a base also if it says no."""
    issue, candidate, attempt = call.args
    key, order = shards.key(work.site, candidate), work.site.order(issue, "test", attempt)
    known = results.find(work.hub, "test", key, Verdict, tasks.passed if base else results.whatever)
    if known is not None:
        work.journal.phase(order, "cached")
        return known
    split = shards.split(work.site, work.hub, issue, candidate, work.most)
    over, fast = threading.Event(), work.site.config.test.fail_fast
    with whole(work, order, len(split.shards)) as mark:
        calls = [_begun(work, call, shard, lambda: over.is_set() or call.unwanted(), base=base) for shard in split.shards]
        found, noes = gathered(work, calls, over, lambda came: fast and not (isinstance(came, Verdict) and came.passed))
        failed = {split.shards[number]: str(no) for number, no in noes.items()}
        verdict = shards.together(split, {split.shards[number]: said for number, said in found.items()}, failed)
        if failed:
            raise AgentFailed(verdict.log)
        mark.state = tasks.ended(verdict)
    results.record(work.hub, order, key, verdict, candidate.sha)
    return verdict


def _begun(work: Work, test: Call, shard: Shard, unwanted: Callable[[], bool], *, base: bool) -> Call:
    """Have a shard run; the longest are begun first, if there is no room for all."""
    issue, candidate, attempt = test.args
    task, args = (tasks.shard_base, (issue, shard, candidate)) if base else (tasks.shard, (issue, shard, candidate, attempt))
    needs = work.site.config.test.groups[shard.group].exclusive
    return work.submit(task.with_options(name=shard.name), *args, unwanted=unwanted, exclusive=needs, seconds=shard.seconds)


def base_tested(work: Work) -> None:
    """See to it that the branch as it is passes the tests. Misuse if it does not: no agent is to be paid for work that could not land."""
    issue, candidate = phases.base_issue(work.hub.branch), phases.base_candidate(work.site, work.hub.tip())
    if not work.site.config.test.groups:
        work.run(tasks.test_base, issue, candidate)
        return
    try:
        in_groups(work, Call(tasks.test, (issue, candidate, 1)), base=True)
    except AgentFailed as no:
        msg = f"the tests fail on {work.site.branch} as it is, so nothing was built: mend it, or go on with --allow-red-base\n{no}"
        raise Misuse(msg) from no

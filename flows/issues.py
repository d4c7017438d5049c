"""The way of one issue: plan → build → {test, review, document} → land. It reads like a script, and has a thread of its own.

What stops it is raised; `flows/deliver.py` makes an outcome of that.
"""

import time
from concurrent.futures import Future
from dataclasses import asdict, replace
from typing import cast

from adw import branches, decisions, phases, report, results
from adw.config import Gate
from adw.errors import AdwError, AgentFailed, Collided, Conflict, Interrupted
from adw.model import Attempt, Change, Issue, Outcome, Plan, Verdict, digest
from adw.train import Train
from flows.approval import Approval, Form, PlanApproval, ask_a_person
from flows.checks import noes
from flows.parts import built
from flows.remembering import learn_of_landing, learn_of_plan
from flows.sidings import insist_on_room
from flows.work import Call, Work
from tasks import phases as tasks

UNFIT = "the review found the change unfit to land"


def delivered(work: Work, issue: Issue) -> Outcome:
    """How an issue ends that goes through its phases; what stops it is raised."""
    if sha := work.landed.get(issue.id):
        return Outcome(issue=issue.id, title=issue.title, state="already landed", sha=sha)
    base = ground(work, issue)
    work.people.go_on(issue)
    with work.beginning:
        first, attempt = tried(work, issue, base)
        insist_on_room(work, issue)
    plan = planned(work, issue, first)
    learn_of_plan(work, issue, plan, first.base)
    work.partition.planned(issue.id, plan.files)
    work.green.result()
    if "plan" in work.site.config.approve:
        plan = agreed(work, issue, plan)
    if work.site.config.partition:
        attempt = kept_apart(work, issue, attempt)
    noes = 0
    while True:
        change = None
        work.people.go_on(issue)
        try:
            change = built(work, issue, plan, attempt)
            work.say(issue, "built", **{"try": attempt.number}, sha=change.sha)
            sha = check_and_land(work, issue, change, attempt.number)
            learn_of_landing(work, issue, plan, sha)
            return work.through(issue, sha, attempt.number)
        except (AgentFailed, Conflict) as no:
            if isinstance(no, Conflict):
                work.say(issue, "overtaken", **{"try": attempt.number})
            # Begun even if it is for a later run: what is refused goes on from here when it is asked for again.
            attempt = begun_again(work, issue, attempt, no, change)
            noes += isinstance(no, AgentFailed)  # a conflict is no fault of the change: somebody else was faster
            if noes == work.site.config.tries:
                raise AdwError(refusal(work, issue, noes, no, change.sha if change else attempt.change)) from no


def ground(work: Work, issue: Issue) -> str:
    """The commit that an issue is begun on: the tip, once all that it needs has landed, or, stacked, what it needs as it stands in line."""
    needed = [name for name in issue.depends_on if name in work.outcomes]
    if needed and work.site.config.stack and isinstance(work.train, Train):
        return work.train.standing(needed, work.hub.tip)
    for name in needed:
        if not (ended := work.outcomes[name].result()).good:
            raise unmet(name, ended)
    return work.foundation(issue)


def unmet(needed: str, ended: Outcome) -> AdwError:
    """What is told those who depend on an issue that did not land."""
    msg = f"it depends on {needed}, which is {ended.state}"
    return Interrupted(msg) if ended.state == "stopped" else AdwError(msg)


def tried(work: Work, issue: Issue, base: str) -> tuple[Attempt, Attempt]:
    """The first try at an issue, and the one that is under way; begun, if there is none, and anew where it cannot go on or a person has."""
    tries = results.attempts(work.hub, issue) or [results.begin(work.hub, issue, 0 if work.site.config.partition else 1, base)]
    now = tries[-1]
    theirs, said = branches.taken_up(work.hub, issue, work.hub.tip()), work.said.get(issue.id)
    if said:  # its change is in a pull request, ready or given up, and people want more of it
        now = results.begin(work.hub, issue, now.number + 1, base, said.feedback(now.feedback), theirs or said.change, said.ids)
    elif theirs:
        now = results.begin(work.hub, issue, now.number + 1, base, change=theirs)
    elif not (work.site.config.stack or work.bears(now)):  # what is stacked can be moved to another base
        now = results.begin(work.hub, issue, now.number + 1, base, now.feedback, now.change)
    if theirs:
        branches.saw(work.hub, issue)
    return tries[0], now


def kept_apart(work: Work, issue: Issue, attempt: Attempt) -> Attempt:
    """The try to build, once those have ended whose plans touch the same files: on top of what they have landed. Try 0 was to plan only."""
    began, behind = time.monotonic(), [] if work.site.config.landing.offers else work.partition.before(issue.id)
    for name in behind:
        work.outcomes[name].result()
    if behind:
        seconds = time.monotonic() - began
        work.say(issue, "kept apart", behind=behind, seconds=round(seconds, 1))
    return attempt if attempt.number else results.begin(work.hub, issue, 1, ground(work, issue))


def begun_again(work: Work, issue: Issue, attempt: Attempt, no: AdwError, change: Change | None) -> Attempt:
    """The try after a no: with the change merged onto the tip, if all that is against it is what landed meanwhile; else from the start."""
    again, tip = attempt.number + 1, ground(work, issue)
    if attempt.wanted and not isinstance(no, Conflict | Collided):  # what people want still holds
        earlier = f"{attempt.feedback}\n\nA try at that did not land. What was said of it:\n\n{no}"
        return results.begin(work.hub, issue, again, tip, earlier, change=change.sha if change else attempt.change)
    if change is None:  # what could not be resolved is begun with once more
        earlier = f"{no}\n\nBefore that:\n{attempt.feedback}" if attempt.change else str(no)
        return results.begin(work.hub, issue, again, tip, earlier, change=attempt.change)
    if isinstance(no, Conflict | Collided):
        return results.begin(work.hub, issue, again, tip, str(no), change=change.sha)
    return results.begin(work.hub, issue, again, tip, f"{no}\n\nThe earlier change is commit {change.sha} (`git show {change.sha}`).")


def refusal(work: Work, issue: Issue, noes: int, no: AdwError, change: str) -> str:
    """What is said of an issue that does not land, and how a person can go on with its change."""
    count = f"{noes} {'try' if noes == 1 else 'tries'}"
    kept = branches.keep(work.hub, issue, change) if change else ""
    how = f"\n\nThe change is on the branch {kept}: commit to it, then `adw resume {issue.id}` goes on from there." if kept else ""
    return f"refused after {count}: {no}{how}"


def planned_only(work: Work, issue: Issue) -> Outcome:
    """How an issue ends that is only planned; its plan is in the journal."""
    if sha := work.landed.get(issue.id):
        return Outcome(issue=issue.id, title=issue.title, state="already landed", sha=sha)
    tries = results.attempts(work.hub, issue) or [results.begin(work.hub, issue, 1, work.hub.tip())]
    work.say(issue, "planned", plan=asdict(planned(work, issue, tries[0])))
    return Outcome(issue=issue.id, title=issue.title, state="planned")


def planned(work: Work, issue: Issue, first: Attempt) -> Plan:
    """The plan that a person approved, or else an agent's, who is told what was said against those before."""
    if plan := decisions.approved(work.hub, issue):
        work.journal.phase(work.site.order(issue, "plan"), "cached")
        return plan
    told = replace(first, feedback=decisions.objections(work.hub, issue))
    return cast("Plan", work.run(tasks.plan, issue, told))


def agreed(work: Work, issue: Issue, plan: Plan) -> Plan:
    """The plan as a person leaves it who is asked whether it may be built, unless one has said so before. AdwError, with what was said, if it may not."""
    if approved := decisions.approved(work.hub, issue):
        return approved
    answer = asked(work, issue, "plan", report.plan_question(issue, plan), PlanApproval, plan=plan.text)
    plan = decisions.edited(plan, answer.plan)
    decisions.decide(work.hub, issue, decisions.Decision(approved=answer.approve, plan=plan, feedback=reason(answer)))
    if not answer.approve:
        msg = f"a person did not approve the plan: {reason(answer)}\nThe next run plans again, with that."
        raise AdwError(msg)
    return plan


def check_and_land(work: Work, issue: Issue, change: Change, attempt: int) -> str:
    """Test, review and document a change at once, in slots of their own, and land what was tested. Returns its SHA.

    It has its place in the train from the start; where a person is asked first, only after that, as nobody is to wait behind it.
    Conflict or AgentFailed, with the log, if it is not fit to land.
    """
    if sha := landed_since(work, issue, change.base):
        return sha
    work.people.go_on(issue)
    if work.site.config.asks_to_land:
        first = phases.candidate(work.site, issue, change, ground(work, issue))
        documented = fit(work, [*judged(work, issue, change, attempt), *work.checks.proof(issue, first, attempt)])
        approved(work, issue, documented)
        return land_in_turn(work, issue, documented, attempt)
    seat = work.train.board(issue, attempt, change)
    try:
        documented = fit(work, judged(work, issue, change, attempt))
        work.people.go_on(issue)
    except BaseException as no:
        work.train.leave(seat, hear=isinstance(no, AgentFailed))
        if seat.landed.done() and seat.landed.exception() is None:
            return seat.landed.result()  # by another run
        if isinstance(no, AgentFailed):  # what the tests say is said with it: both are one try
            raise AgentFailed("\n\n".join([str(no), *against(seat.proof)])) from no
        raise
    work.train.ready(seat, documented)
    return seat.landed.result()


def judged(work: Work, issue: Issue, change: Change, attempt: int) -> list[Call]:
    """Have a change reviewed, documented and checked."""
    calls = [work.submit(task, issue, change, attempt) for task in (tasks.review, tasks.document)]
    return [*calls, *work.checks.submit(issue, change, attempt)]


def fit(work: Work, calls: list[Call]) -> Change:
    """The documented change, once all that is called has ended: review, documentation, and more that judges. AgentFailed, with the logs, if some say no."""
    reviewed, documented, *verdicts = work.results(calls)
    insist({UNFIT: reviewed, **work.checks.worded(list(zip(calls[2:], verdicts, strict=True)))})
    return cast("Change", documented)


def against(tested: "Future[Verdict] | None") -> list[str]:
    """What the tests say against a change, once they have ended."""
    if tested is None or tested.cancelled() or tested.exception() or tested.result().passed:
        return []
    return [tested.result().log]


def land_in_turn(work: Work, issue: Issue, change: Change, attempt: int) -> str:
    """Test a change on top of those that are before it, and land it when it is its turn. Returns its SHA.

    Conflict if it does not merge, AgentFailed if the tests fail.
    """
    if sha := landed_since(work, issue, change.base):
        return sha
    seat = work.train.board(issue, attempt, change)
    work.train.ready(seat, change)
    return seat.landed.result()


def approved(work: Work, issue: Issue, change: Change) -> None:
    """Ask a person whether a change may land, unless one has said so before. AgentFailed, with what was said, if it may not."""
    if results.is_approved(work.hub, issue, change):
        return
    answer = asked(work, issue, "landing", report.question(work.hub, issue, change), Approval)
    if not answer.approve:
        msg = f"a person did not approve the change: {reason(answer)}"
        raise AgentFailed(msg)
    results.approve(work.hub, issue, change)


def asked(work: Work, issue: Issue, gate: Gate, question: str, form: type[Form], **filled_in: str) -> Form:
    """A person's answer to a question about an issue."""
    work.say(issue, "approval", gate=gate, state="wanted", about=digest(question)[:12])
    with work.asking:  # a flow run is paused for one question at a time
        answer = ask_a_person(issue, question, form, **filled_in)
    work.say(issue, "approval", gate=gate, state="given" if answer.approve else "refused")
    return answer


def reason(answer: Approval) -> str:
    """What a person said to their answer."""
    return answer.feedback.strip() or ("" if answer.approve else "no reason was given")


def landed_since(work: Work, issue: Issue, base: str) -> str:
    """The commit by which another run landed the issue after a base, if one did."""
    return work.hub.mirror.trailers(f"{base}..{work.hub.tip()}").get(issue.id, "")


def insist(verdicts: dict[str, Verdict]) -> None:
    """AgentFailed, with their logs, if some verdicts are no."""
    if said := noes(verdicts):
        raise AgentFailed("\n\n".join(said))

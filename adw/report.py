"""What a run and an issue came to, as Markdown: for artifacts, files and `adw show`."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import median

from adw import decisions, results, usage
from adw.git import Git
from adw.journal import Journal
from adw.mirror import Hub, Source
from adw.model import PHASES, Change, Finding, Issue, Outcome, Plan, Verdict, one_line, phase_of
from adw.money import Spent, dollars
from adw.progress import Progress
from adw.testing import AGAIN
from adw.usage import Window

SHOWN = 200_000  # characters of a diff that a report carries
ASKED = 20_000  # characters of a diff that a question carries


def summary(outcomes: Sequence[Outcome]) -> str:
    """One line: how many issues ended how."""
    counts = Counter(outcome.state for outcome in outcomes)
    return ", ".join(f"{number} {state}" for state, number in sorted(counts.items())) or "nothing to do"


def run_report(progress: Progress, outcomes: Sequence[Outcome], pages: Mapping[str, str], used: Window | None = None) -> str:
    """The run: what landed, what did not and why, and what it took; `pages` are the addresses of the issues' own reports."""
    lines = ["# Delivery", "", summary(outcomes), "", "| issue | ended | commit | tries |", "| --- | --- | --- | --- |"]
    lines += [
        f"| {_linked(_cell(f'{o.issue}: {o.title}'), pages.get(o.issue, ''))} | {_cell(o.state + _place(o))} | {o.sha[:10]} | {progress.rows[o.issue].tries if o.issue in progress.rows else ''} |"
        for o in outcomes
    ]
    took = max(progress.last - progress.began, 0.001)
    lines += ["", f"{progress.ran} phases ran and {progress.cached} were found done; {took:.0f} s, and {progress.work:.0f} s of phases one after another.", ""]
    lines += _checks(progress)
    lines += _apart(progress)
    lines += _skills(progress)
    if progress.recalled:
        told = sum(map(len, progress.recalled.values()))
        lines += [f"{told} {'memory was' if told == 1 else 'memories were'} recalled for {len(progress.recalled)} of the phases that ran.", ""]
    lines += spending(progress.spent_by_phase)
    if held := [f"{phase} {size / 1e6:,.0f} MB" for phase, size in progress.memory.items() if size]:
        lines += [f"Memory that one agent held at most, its tools included: {', '.join(held)}.", ""]
    if took_of_machine := usage.told(progress, used):
        lines += ["## What it took of the machine", "", *(f"- {line}" for line in took_of_machine), ""]
    for outcome in outcomes:
        if outcome.reason:
            lines += [f"## {outcome.issue}: {outcome.state}", "", fenced(outcome.reason), ""]
    return "\n".join(lines)


def issue_report(hub: Source, issue: Issue, outcome: Outcome, progress: Progress, logs: Sequence[tuple[Path, str]]) -> str:
    """One issue: its plan, its diff, the verdicts, what it spent, and its logs, each with the address where it can be read, if there is one."""
    lines = [f"# {issue.title}", "", f"`{issue.id}`: {outcome.state}" + (f" as {outcome.sha[:10]}" if outcome.sha else "") + _place(outcome), ""]
    if outcome.reason:
        lines += [fenced(outcome.reason), ""]
    newest = newest_results(hub.mirror, issue.key)
    if plan := newest_plan(hub, issue):
        lines += [*_plan(plan), *_divided(progress, issue.id)]
    for phase in ("test", "review", *progress.checks):
        name = f"{phase} ({progress.standing(phase)})" if phase in progress.checks else phase.capitalize()
        for verdict in verdicts(hub.mirror, issue.key, phase, outcome.sha):
            lines += _verdict(name, verdict)
    lines += _found(progress, issue)
    if change := outcome.sha or newest.get("document") or newest.get("build"):
        lines += ["## Change", "", fenced(hub.mirror.diff(f"{change}^", change)[:SHOWN], "diff"), ""]
    lines += _recalled(issue, progress)
    lines += spending(progress.spent_on(issue.id))
    if logs:
        lines += ["## Logs", "", *(f"- {_linked(log.stem, address)}: `{log}`" for log, address in logs), ""]
    return "\n".join(lines)


def _recalled(issue: Issue, progress: Progress) -> list[str]:
    """What was remembered for the phases of an issue; none if nothing was."""
    told = {(number, phase): memories for (of, number, phase), memories in progress.recalled.items() if of == issue.id}
    rows = [
        [phase if number == 1 else f"{phase} (try {number})", memory["kind"], memory["source"], memory["id"][:8], _plain(memory["text"])]
        for (number, phase), memories in told.items()
        for memory in memories
    ]
    return ["## Recalled", "", *_table(("for", "kind", "by", "id", "memory"), rows)] if rows else []


def _apart(progress: Progress) -> list[str]:
    """Who was built behind whom, and what that cost and saved; none if nobody was."""
    if not progress.apart:
        return []
    lines = [f"- {issue} was built behind {_behind(behind)}, and waited {seconds:.0f} s for that" for issue, behind, seconds in progress.apart]
    pairs = sum(len(behind) for _, behind, _ in progress.apart)
    each = median(progress.builds) if progress.builds else 0.0
    saved = f"It saved at most {pairs} {'conflict' if pairs == 1 else 'conflicts'}, each about one more build ({each:.0f} s)."
    waited = sum(seconds for *_, seconds in progress.apart)
    return ["## Kept apart", "", *lines, "", f"That cost {waited:.0f} s of waiting. {saved}", ""]


def _behind(behind: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{name}: both touch {', '.join(files)}" for name, files in behind.items())


def spending(spent: Mapping[str, Spent]) -> list[str]:
    """The lines of a table of what was spent on what, and in all; none if nothing was."""
    if not spent:
        return []
    whole = sum(spent.values(), Spent())
    rows = [_spent(name, each) for name, each in spent.items()] + [_spent("in all", whole)]
    without = [whole.without_price(), ""] if whole.unpriced else []
    names = ("", "calls", "tokens in", "out", "cache read", "cache write", "money", "saved by the cache")
    return ["## What the models took", "", *_table(names, rows), *without]


def _spent(name: str, spent: Spent) -> list[str]:
    tokens = spent.tokens
    counts = (tokens.calls, tokens.input, tokens.output, tokens.cache_read, tokens.cache_write)
    return [name, *(f"{count:,}" for count in counts), spent.price or "no price", dollars(spent.saved)]


def _plan(plan: Plan) -> list[str]:
    """What an agent meant to do; the files and the items, as far as it named them."""
    lines = ["## Plan", "", fenced(plan.text), ""]
    if plan.files:
        lines += [f"It expects to touch {_files(plan.files)}.", ""]
    if plan.items:
        lines += _table(("item", "files"), [[_plain(item.title), _files(item.files)] for item in plan.items])
    return lines


def _divided(progress: Progress, issue: str) -> list[str]:
    """Whether a build was done in parts, and why; which those were, and what was to be done once they were there."""
    lines = []
    for (_, number), (parts, reason) in sorted(one for one in progress.divided.items() if one[0][0] == issue):
        lines += [f"Built {f'in {len(parts)} parts' if parts else 'by one agent'}: {_plain(reason)}.", ""]
        if parts:
            lines += _table(("part", "files"), [[_plain(title), _files(files)] for title, files in parts])
        if left := progress.integrated.get((issue, number)):
            lines += ["An agent then made one change of the parts, as this was left to do:", "", *(f"- {_plain(line)}" for line in left), ""]
    return lines


def _verdict(what: str, verdict: Verdict) -> list[str]:
    """How a test, a review or a check ended, and what was found."""
    ended = "flaky" if verdict.flaky else "passed" if verdict.passed else "no"
    lines = [f"## {what}: {ended}", "", fenced(verdict.log), ""]
    if verdict.findings:
        lines += _table(
            ("severity", "place", "finding"), [[found.severity, _files([found.place] if found.place else []), _plain(found.text)] for found in verdict.findings]
        )
    return lines


def _checks(progress: Progress) -> list[str]:
    """How often each check of the repository's own ended how, over all issues; what it said to the branch as it is; what is flaky."""
    lines = []
    if progress.checks:
        ended = {name: Counter(row.cells[name].state for row in progress.rows.values() if name in row.cells) for name in progress.checks}
        rows = [[name, progress.standing(name), ", ".join(f"{number} {state}" for state, number in sorted(ended[name].items()))] for name in progress.checks]
        lines += ["## Checks", "", *_table(("check", "counts as", "issues"), rows)]
    for name, log in progress.red.items():
        lines += [f"`{name}` says no to the branch as it is:", "", fenced(log), ""]
    return [*lines, *(f"- {line}" for line in progress.flakes), *([""] if progress.flakes else [])]


def _skills(progress: Progress) -> list[str]:
    """What skills had to do in the run, and what came in their way; none if there were none at work."""
    looked, known, took = Counter[str](), Counter[str](), Counter[str]()
    for event in progress.skills.values():
        for ran in event["ran"]:
            looked[ran["name"]] += ran["looked"]
            known[ran["name"]] += ran["known"]
            took[ran["name"]] += ran["seconds"]
    rows = [[name, str(looked[name]), str(known[name]), f"{took[name]:.1f} s"] for name in sorted(looked) if looked[name] or known[name]]
    troubles = sorted({f"- {_plain(one['source'])}: {_plain(one['message'])}" for event in progress.skills.values() for one in event["troubles"]})
    table = _table(("skill", "files looked at", "known before", "took"), rows) if rows else []
    return ["## Skills", "", *table, *troubles, *([""] if troubles else [])] if table or troubles else []


def _found(progress: Progress, issue: Issue) -> list[str]:
    """What skills found new in an issue's change, as it was last built and reviewed."""
    lines = []
    for phase in ("build", "review"):
        event = next((event for (name, _, of), event in reversed(progress.skills.items()) if (name, phase_of(of)) == (issue.id, phase)), None)
        if event and event["findings"]:
            found = [Finding(file=one["file"], line=one["line"], severity=one["severity"], text=one["message"]) for one in event["findings"]]
            rows = [
                [one.severity, _files([one.place] if one.place else []), _plain(one.text), _plain(by["source"])]
                for one, by in zip(found, event["findings"], strict=True)
            ]
            lines += [f"## New to skills in {phase}: {event['found']}", "", *_table(("severity", "place", "finding", "skill"), rows)]
    return lines


def _files(names: Sequence[str]) -> str:
    return _cell(", ".join(f"`{one_line(name).replace('`', chr(39))}`" for name in names))


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table, and an empty one."""
    lines = [names, ["---"] * len(names), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""]


def logs_elsewhere(journal: Journal, issue: Issue) -> list[tuple[Path, str]]:
    """The logs of those phases that other hosts ran: host and path, and no address."""
    found = {}
    for event in journal.events()[0]:
        if "folder" in event and event["event"] == "phase" and event["issue"] == issue.id:
            stem = f"{event['try']}-{event['phase']}"
            for name in (stem, *([f"{stem}{AGAIN}"] if event["state"] == "flaky" else [])):
                found[name] = Path(f"{event['host']}:{event['folder']}/logs/{issue.key}/{name}.log")
    return [(found[stem], "") for stem in sorted(found)]


def question(hub: Hub, issue: Issue, change: Change) -> str:
    """What a person is shown who is asked whether a change may land: what was wanted, and the change."""
    diff = hub.mirror.diff(change.base, change.sha)
    cut = "" if len(diff) <= ASKED else f"\n\nThe diff goes on: `git show {change.sha}` in {hub.path}."
    return "\n".join([f"## May this land? {issue.title}", "", issue.body, "", fenced(diff[:ASKED], "diff") + cut])


def plan_question(issue: Issue, plan: Plan) -> str:
    """What a person is shown who is asked whether a plan may be built: what is wanted, and the plan."""
    return f"## May this be built? {issue.title}\n\n{issue.body}\n\n{fenced(plan.text)}\n{_plan_files(plan)}"


def plan_text(issue: Issue, plan: Plan) -> str:
    """A plan by itself."""
    return f"# {issue.title}\n\n{plan.text.strip()}\n{_plan_files(plan)}"


def _plan_files(plan: Plan) -> str:
    return f"\nFiles: {_files(plan.files)}\n" if plan.files else ""


def newest_results(mirror: Git, issue_key: str, checks: Collection[str] = ()) -> dict[str, str]:
    """The newest recorded commit of each phase of an issue, and of each of these checks."""
    out = mirror.run("for-each-ref", "--sort=committerdate", "--format=%(refname) %(objectname)", f"refs/adw/{issue_key}")
    found: dict[str, str] = {}
    for line in out.splitlines():
        name, sha = line.split(" ")
        phase = name.split("/")[3]
        if phase in PHASES or phase in checks:
            found[phase] = sha
    return found


def verdicts(mirror: Git, issue_key: str, phase: str, landed: str = "") -> list[Verdict]:
    """The verdict of a phase on what landed, else the newest; and before it those that are flaky.

    In the train a change is judged on top of several others: on top of what it landed on, it was what landed.
    """
    shas = mirror.run("for-each-ref", "--sort=committerdate", "--format=%(objectname)", f"refs/adw/{issue_key}/{phase}").split()
    onto = mirror.find(f"{landed}^") if landed else None
    last = next((sha for sha in reversed(shas) if onto and mirror.find(f"{sha}^^") == onto), next(reversed(shas), ""))
    found = {sha: results.read(mirror, sha, Verdict) for sha in shas}
    return [*(verdict for sha, verdict in found.items() if verdict.flaky and sha != last), *([found[last]] if last else [])]


def newest_plan(hub: Source, issue: Issue) -> Plan | None:
    """The plan that is built, or would be: what a person approved, else the newest."""
    sha = newest_results(hub.mirror, issue.key).get("plan")
    return decisions.approved(hub, issue) or (results.read(hub.mirror, sha, Plan) if sha else None)


def fenced(text: str, kind: str = "") -> str:
    """A block of text as it is, whatever is in it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{kind}\n{text}\n{fence}"


def _plain(text: str) -> str:
    """Words that a model wrote, in a line, with nothing that Markdown would make something else of."""
    return re.sub(r"([\\`*_\[\]<>|!])", r"\\\1", one_line(text))


def _place(outcome: Outcome) -> str:
    """Where a person finds a change that is ready."""
    at = outcome.place
    return f" at {_linked(at, at if '://' in at else '')}" if at else ""


def _linked(text: str, address: str) -> str:
    return f"[{text}]({address})" if address else text


def _cell(text: str) -> str:
    return text.replace("|", "\\|")

"""What is learnt of a repository from what phases return: plans, noes, and what then landed."""

import re
from collections.abc import Iterator, Mapping, Sequence

from adw.config import Config
from adw.memory.model import Memory, Source
from adw.model import Finding, Issue, Plan, digest, one_line

TELLING = re.compile(
    r"(?i)\b(?:error|fail(?:s|ed|ure|ures)?|assert\w*|expected|exception|cannot|not found|undefined|refus\w+|warning|must|should|did not)\b|\w(?:Error|Exception)\b|^E "
)
HEAD = 700  # characters of a no, or of a plan
NAMED = 8  # files
PERSON = "a person did not approve the change"  # so begins the no of one
EARLIER = "\n\nThe earlier change is commit "  # so ends what a try is told of the one before


def of_plan(issue: Issue, plan: Plan, blobs: Mapping[str, str]) -> Iterator[Memory]:
    """What an agent found out while it planned; of files with their blobs as it saw them."""
    for found in plan.learnt:
        files = {path: blobs[path] for path in found.files if path in blobs}
        if found.text.strip() and (files or found.kind != "file"):
            yield Memory(text=one_line(found.text), kind=found.kind, source="agent", about=issue.id, files=files)


def of_noes(issue: Issue, noes: Sequence[str], sha: str, files: Sequence[str]) -> Iterator[Memory]:
    """What was said against the tries at an issue that landed after all, and where it is mended."""
    for said in dict.fromkeys(no.partition(EARLIER)[0] for no in noes):
        mend = f"It was mended before it landed as commit {sha[:10]} (`git show {sha[:10]}`), which changed {named(files)}."
        source: Source = "person" if said.startswith(PERSON) else "agent"  # tests are written by agents, too, and print what these like
        yield Memory(text=f"In work on “{one_line(issue.title)}” a try was refused:\n{telling(said)}\n{mend}", kind="failure", source=source, about=issue.id)


def of_findings(issue: Issue, findings: Sequence[Finding], blobs: Mapping[str, str]) -> Iterator[Memory]:
    """What reviews refused a change for, that landed without it: they were right."""
    for found in findings:
        files = {found.file: blobs[found.file]} if found.file in blobs else {}
        where = f" in {found.file}" if found.file else ""
        text = f"A review was right to refuse this{where}, and it was mended: {one_line(found.text)}"
        yield Memory(text=text, kind="convention", source="agent", about=issue.id, files=files)


def of_landing(issue: Issue, plan: Plan, sha: str, files: Sequence[str], words: Sequence[str], config: Config) -> Iterator[Memory]:  # noqa: PLR0913 - all that is known of it
    """How an issue was resolved, what people decided about it, and the commands that worked for that."""
    how = plan.text.strip().partition("\n\n")[0][:HEAD]
    text = f"“{one_line(issue.title)}” landed as commit {sha[:10]}, and changed {named(files)}. The plan was: {one_line(how)}"
    yield Memory(text=text, kind="decision", source="agent", about=issue.id, name=f"landed {issue.id} {issue.digest}")
    for said in words:
        yield Memory(text=f"About the plan for “{one_line(issue.title)}” a person said: {said.strip()}", kind="decision", source="person", about=issue.id)
    # Not the test: each prompt names it.
    commands = {"sets a work tree up before an agent works in it": config.pool.setup}
    commands |= {f"is the check {name}, and what lands passes it": check.command for name, check in config.checks.items() if check.required}
    for what, command in commands.items():
        if command:
            yield Memory(text=f"`{command}` {what}.", kind="command", name=digest(what, command))


def named(files: Sequence[str]) -> str:
    """Some files by name, and how many more there are."""
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return f"{', '.join(files[:NAMED]) or 'no file'}{more}"


def telling(log: str) -> str:
    """What matters of a no: its first line, and the last ones that speak of a failure; or its end."""
    first, *rest = [line.strip() for line in log.strip().splitlines() if line.strip()] or [""]
    found = list(dict.fromkeys(line[:200] for line in rest if TELLING.search(line))) or rest
    kept: list[str] = []
    for line in reversed(found):
        if sum(map(len, kept)) + len(line) > HEAD:
            break
        kept.insert(0, line)
    return "\n".join([first[:HEAD], *kept])

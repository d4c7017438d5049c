"""The answers of plan and review in a checked form: JSON, by a schema that the agent's CLI is given, and the prompt tells."""

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adw.config import Severity
from adw.model import Finding, Item, Learnt, Plan, Verdict

Form = TypeVar("Form", bound=BaseModel)
FENCED = re.compile(r"```(?:json)?\s*\n(.*?)\n\s*```", re.DOTALL)


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore")  # a model may say more than it was asked


class WorkItem(_Part):
    """A piece of the work."""

    title: str
    files: list[str] = Field([], description="The files it touches, relative to the repository.")
    details: str = ""


class Discovery(_Part):
    """Something about the repository that others would have to find out again."""

    kind: Literal["convention", "command", "file"] = Field(
        description="convention: how things are done here; command: one that works; file: what a file is for."
    )
    text: str = Field(description="In a sentence or two, of use without this issue.")
    files: list[str] = Field([], description="The files it is about, relative to the repository: once they change, it is forgotten.")


class PlanAnswer(_Part):
    """What a plan is made of."""

    summary: str = Field(description="How the issue will be resolved, in a paragraph or two.")
    files: list[str] = Field(description="All files that will be changed, added or removed, relative to the repository.")
    items: list[WorkItem] = Field(description="The pieces of work, in order.")
    integration: str = Field("", description="What is left to do once all items are done side by side, such as wiring them together; empty if nothing.")
    tests: str = Field("", description="How it will be tested.")
    risks: str = Field("", description="What could go wrong.")
    learnt: list[Discovery] = Field([], description="What you found out about the repository, and did not find in its own conventions; often empty.")

    def plan(self) -> Plan:
        """The same as a value."""
        lines = [self.summary.strip(), ""]
        lines += [
            f"- {item.title}" + (f" ({', '.join(item.files)})" if item.files else "") + (f": {item.details}" if item.details else "") for item in self.items
        ]
        lines += [f"\nIntegration: {self.integration.strip()}"] if self.integration.strip() else []
        lines += [f"\nTests: {self.tests.strip()}"] if self.tests.strip() else []
        lines += [f"\nRisks: {self.risks.strip()}"] if self.risks.strip() else []
        items = tuple(Item(title=item.title, files=tuple(item.files), details=item.details) for item in self.items)
        learnt = tuple(Learnt(kind=found.kind, text=found.text, files=tuple(found.files)) for found in self.learnt)
        return Plan(text="\n".join(lines).strip(), files=tuple(dict.fromkeys(self.files)), items=items, integration=self.integration.strip(), learnt=learnt)


class ReviewFinding(_Part):
    """One thing that a reviewer found."""

    file: str = Field(description="Relative to the repository; empty if it is about no file.")
    line: int = Field(0, ge=0, description="0 if it is about no line.")
    severity: Severity = Field(description="error: must not land; warning: should be mended; note: to be known.")
    text: str


class ReviewAnswer(_Part):
    """What a review is made of."""

    summary: str = Field(description="The verdict in a sentence or two.")
    findings: list[ReviewFinding] = Field(description="Empty if the change is fit to land as it is.")

    def verdict(self, refuse: tuple[Severity, ...]) -> Verdict:
        """Passed, unless there is a finding of a severity that refuses."""
        found = tuple(Finding(file=f.file, line=f.line, severity=f.severity, text=f.text) for f in self.findings)
        lines = [self.summary.strip(), *(str(finding) for finding in found)]
        return Verdict(passed=not any(f.severity in refuse for f in found), log="\n".join(lines).strip(), findings=found)


def schema(form: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of a form."""
    return form.model_json_schema()


def checked(form: type[Form], answer: dict[str, Any] | None, said: str) -> Form | str:
    """The answer in its form; from what was said, if there is no structured one. In words what is wrong, if it is not in that form."""
    wrong = "there is no JSON in it"
    for found in [answer] if answer is not None else _objects(said):
        try:
            return form.model_validate(found)
        except ValidationError as no:
            wrong = "; ".join(f"{'.'.join(map(str, error['loc'])) or 'the whole'}: {error['msg'].lower()}" for error in no.errors()[:5])
    return wrong


def _objects(said: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a text that may be meant as its answer: the whole text, fenced ones from the last one on, what is between the outer braces."""
    for text in (said, *reversed(FENCED.findall(said)), said[said.find("{") : said.rfind("}") + 1]):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):  # no JSON, or too deep to be an answer
            continue
        if isinstance(found, dict):
            yield found

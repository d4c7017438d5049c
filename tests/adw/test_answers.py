import json
from typing import Any

import pytest

from adw.answers import PlanAnswer, ReviewAnswer, checked
from adw.model import Finding, Item

REVIEW = {"summary": "It is wrong.", "findings": [{"file": "a.py", "line": 3, "severity": "warning", "text": "off by one"}]}
PLAN = {"summary": "Do it.", "files": ["a.py", "b.py", "a.py"], "items": [{"title": "first", "files": ["a.py"]}], "tests": "pytest"}


@pytest.mark.parametrize(
    "said",
    [
        json.dumps(REVIEW),
        f"I looked.\n\n```json\n{json.dumps(REVIEW, indent=1)}\n```\nThat is all.",
        f"Such as\n```\n{{}}\n```\nbut:\n```json\n{json.dumps(REVIEW)}\n```",
        f"The answer is {json.dumps(REVIEW)}, as asked.",
    ],
)
def test_an_answer_is_found_in_what_was_said(said: str) -> None:
    found = checked(ReviewAnswer, None, said)
    assert isinstance(found, ReviewAnswer)
    assert found.findings[0].text == "off by one"


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (None, "there is no JSON"),
        ({"summary": "x"}, "findings: field required"),
        ({**REVIEW, "findings": [{"file": "a", "severity": "fatal", "text": "x"}]}, "findings.0.severity: input should be"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(answer: dict[str, Any] | None, wrong: str) -> None:
    found = checked(ReviewAnswer, answer, "nothing")
    assert isinstance(found, str)
    assert wrong in found


@pytest.mark.parametrize(("refuse", "passed"), [(("error",), True), (("error", "warning"), False), ((), True)])
def test_only_findings_of_the_configured_severities_refuse(refuse: Any, passed: bool) -> None:  # noqa: FBT001
    verdict = ReviewAnswer.model_validate(REVIEW).verdict(refuse)
    assert verdict.passed == passed
    assert verdict.findings == (Finding(file="a.py", line=3, severity="warning", text="off by one"),)
    assert verdict.log == "It is wrong.\na.py:3: warning: off by one"


def test_a_plan_names_its_files_once_and_tells_its_items() -> None:
    plan = PlanAnswer.model_validate(PLAN).plan()
    assert plan.files == ("a.py", "b.py")
    assert plan.items == (Item(title="first", files=("a.py",)),)
    assert plan.text == "Do it.\n\n- first (a.py)\n\nTests: pytest"

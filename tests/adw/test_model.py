import subprocess
from dataclasses import FrozenInstanceError, replace

import pytest

from adw.model import Issue, Outcome, digest, one_line


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a",), ("a", "")),
        ((), ("",)),
        (("a\0" + "1:b",), ("a", "b")),
        (("1:a",), ("a",)),
        (("a", "b"), ("b", "a")),
    ],
)
def test_no_two_lists_of_parts_share_a_digest(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert digest(*one) != digest(*other)


def test_a_digest_is_the_same_in_every_process() -> None:
    assert digest("a", 1) == "3fb7878f180a865f10e7d3bcd97d0e76a1df7ba0ff984debd669cdbf4f592464"


@pytest.mark.parametrize("name", ["add retry", "a/b", "..", "a..b", "x.lock", "-x", "größe", "日本語", "@{", "a~1^:?*[\\", "a" * 300, ".", "/"])
def test_an_issues_key_is_safe_in_a_ref_name(name: str) -> None:
    key = Issue(id=name, title="t", body="").key
    assert subprocess.run(["git", "check-ref-format", f"refs/adw/{key}/plan"], check=False).returncode == 0
    assert "/" not in key


def test_an_issues_key_is_readable() -> None:
    assert Issue(id="Add retry!", title="t", body="").key.startswith("Add-retry-")


@pytest.mark.parametrize("edit", [{"title": "u"}, {"body": "c"}, {"id": "other"}])
def test_an_issues_key_is_new_when_it_is_edited(edit: dict[str, str]) -> None:
    issue = Issue(id="a", title="t", body="b")
    assert replace(issue, **edit).key != issue.key  # type: ignore[arg-type]


def test_an_issues_key_does_not_depend_on_its_place_among_others() -> None:
    issue = Issue(id="a", title="t", body="b")
    assert replace(issue, priority=3, depends_on=("b",), estimate=60.0).key == issue.key


@pytest.mark.parametrize("name", ["ä", "ö"])
def test_ids_that_read_the_same_have_keys_of_their_own(name: str) -> None:
    assert Issue(id=name, title="t", body="").key != Issue(id="ü", title="t", body="").key


def test_what_is_asked_for_has_one_digest_whatever_its_id() -> None:
    assert Issue(id="a", title="t", body="b").digest == Issue(id="c", title="t", body="b", priority=2, estimate=60.0).digest


@pytest.mark.parametrize(
    ("text", "line"),
    [("a\nb", "a b"), ("  a \t b\r\n", "a b"), ("a\x00\x1b[31mb", "a [31mb"), ("größe", "größe"), ("a\u2028b", "a b"), ("\n", "")],
)
def test_one_line_has_no_breaks_and_no_control_characters(text: str, line: str) -> None:
    assert one_line(text) == line


def test_values_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Issue(id="a", title="t", body="b").title = "u"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("state", "good"), [("landed", True), ("already landed", True), ("ready", True), ("refused", False), ("blocked", False), ("stopped", False)]
)
def test_an_outcome_is_good_if_the_change_is_on_the_branch(state: str, good: bool) -> None:  # noqa: FBT001
    assert Outcome(issue="a", title="t", state=state).good is good

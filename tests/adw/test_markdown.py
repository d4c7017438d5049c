import io
from pathlib import Path

import pytest

from adw.errors import Misuse
from adw.issues.markdown import LARGEST, parse, read, read_all
from adw.model import URGENT, Issue


def parsed(text: str) -> Issue:
    return parse(text, "stem", "stem.md")


def test_an_issue_is_a_title_and_a_body() -> None:
    assert parsed("# Add retry\n\nPlease.\n\n## How\n") == Issue(id="stem", title="Add retry", body="Please.\n\n## How")


def test_front_matter_says_more() -> None:
    text = "---\nid: retry\ntitle: Better title\ndepends_on: [a, 7]\npriority: -2\nestimate: 2h\n---\n# Add retry\nPlease.\n"
    assert parsed(text) == Issue(id="retry", title="Better title", body="Please.", depends_on=("a", "7"), priority=-2, estimate=7200)


@pytest.mark.parametrize(("given", "read_as"), [("a", ("a",)), ("7", ("7",)), ("[]", ()), ("", ()), ("[a]", ("a",))])
def test_depends_on_is_one_id_or_a_list(given: str, read_as: tuple[str, ...]) -> None:
    assert parsed(f"---\ndepends_on: {given}\n---\nt").depends_on == read_as


def test_an_urgent_issue_goes_before_all_that_have_a_number() -> None:
    assert parsed("---\npriority: urgent\n---\nt").priority == URGENT


@pytest.mark.parametrize(
    ("given", "seconds"), [("2h", 7200), ("30m", 1800), ("45s", 45), ("1h30m", 5400), ("1h 30m", 5400), ("1.5h", 5400), ("0h0m1s", 1), ("", 0)]
)
def test_an_estimate_is_a_time_with_units(given: str, seconds: float) -> None:
    assert parsed(f"---\nestimate: {given}\n---\nt").estimate == seconds


BAD = ["depends_on: {a: b}", "depends_on: [[a]]", "depends_on: 1.5", "priority: high", "priority: 1.5", "priority: true"]
BAD += [f"estimate: {given}" for given in ("30", "1:30", "0m", "-1h", "30m1h", "2 hours", "h", "true", "[1h]", f"{'9' * 400}h", "1e9h", "''", "'٣h'")]


@pytest.mark.parametrize("front", BAD)
def test_a_bad_value_is_named_with_its_file(front: str) -> None:
    with pytest.raises(Misuse, match=rf"stem\.md: `{front.split(':', maxsplit=1)[0]}` must be"):
        parsed(f"---\n{front}\n---\nt")


def test_an_unknown_key_is_named_with_those_that_are_known() -> None:
    with pytest.raises(Misuse, match=r"stem\.md.*has prio; known are depends_on, estimate, flag, id, priority, title"):
        parsed("---\nprio: 1\n---\nt")


@pytest.mark.parametrize("front", ["a: [", "- a", "just words", "'a"])
def test_front_matter_that_is_no_yaml_mapping_is_refused(front: str) -> None:
    with pytest.raises(Misuse, match=r"stem\.md.*front matter"):
        parsed(f"---\n{front}\n---\nt")


@pytest.mark.parametrize("text", ["", "\n \n", "---\n---\n", "# \n", "---\nid: a\n---\n"])
def test_an_empty_issue_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match=r"stem\.md is empty"):
        parsed(text)


def test_an_issue_that_no_prompt_bears_is_refused() -> None:
    assert parsed("t\n" + "x" * (LARGEST - 2)).title == "t"
    with pytest.raises(Misuse, match="too large"):
        parsed("t\n" + "x" * (LARGEST - 1))


@pytest.mark.parametrize("name", ["''", "'a\tb'", '"a\\nb"', "' '"])
def test_an_id_that_is_not_one_line_is_refused(name: str) -> None:
    with pytest.raises(Misuse, match="must be one line"):
        parsed(f"---\nid: {name}\n---\nt")


def test_an_id_that_was_left_empty_is_not_none() -> None:
    assert parsed("---\nid:\n---\nt").id == "stem"


def test_without_a_heading_the_first_line_is_the_title() -> None:
    issue = parsed("\n  Größe ändern \nPlease.\n")
    assert (issue.title, issue.body) == ("Größe ändern", "Größe ändern \nPlease.")


def test_a_rule_in_the_body_is_no_front_matter() -> None:
    assert parsed("# A\n\n---\nid: b\n---\n").id == "stem"


def test_windows_line_breaks_are_line_breaks(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"---\r\nid: x\r\n---\r\n# Add\r\n\r\nPlease.\r\n")
    assert read(tmp_path / "a.md") == Issue(id="x", title="Add", body="Please.")


def test_a_byte_order_mark_before_front_matter_is_ignored() -> None:
    assert parsed("\ufeff---\nid: x\n---\n# Add\n") == Issue(id="x", title="Add", body="")


def test_a_byte_order_mark_before_the_title_is_ignored() -> None:
    assert parsed("\ufeff# Add\n\nPlease.") == Issue(id="stem", title="Add", body="Please.")


def test_the_id_is_by_default_the_files_stem(tmp_path: Path) -> None:
    (tmp_path / "größe ändern.v2.md").write_text("# Add", encoding="utf-8")
    assert read(tmp_path / "größe ändern.v2.md").id == "größe ändern.v2"


def test_a_folder_is_its_issues_by_name(tmp_path: Path) -> None:
    for name in ("b.md", "a.md", "10.md", "9.md", "notes.txt"):
        (tmp_path / name).write_text("# Add")
    assert [issue.id for issue in read_all([str(tmp_path)])] == ["10", "9", "a", "b"]


def test_files_come_as_they_were_named(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("# Add")
    assert [issue.id for issue in read_all([str(tmp_path / "b.md"), str(tmp_path / "a.md")])] == ["b", "a"]


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="no issues"):
        read_all([str(tmp_path)])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"there is no issue file .*gone\.md"):
        read_all([str(tmp_path / "gone.md")])


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff")
    with pytest.raises(Misuse, match=r"cannot read the issue .*a\.md"):
        read(tmp_path / "a.md")


def test_a_folder_among_the_issues_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").mkdir()
    with pytest.raises(Misuse, match=r"cannot read the issue .*a\.md"):
        read_all([str(tmp_path)])


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("# Add\nPlease."))
    assert read_all(["-"]) == [Issue(id="standard-input", title="Add", body="Please.")]

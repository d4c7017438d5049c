"""`adw show --log`. The events are those of Claude Code, without what is not read; what the real CLI prints was read with the same code."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from adw.agents.base import Reader
from adw.agents.claude import ClaudeReader
from adw.cli.logs import readable, show_log
from adw.cli.main import show
from adw.errors import Misuse
from adw.journal import Journal
from adw.mirror import Hub
from adw.model import Issue, Order
from tests.conftest import Repository

INIT = {"type": "system", "subtype": "init", "session_id": "cd905907", "model": "claude-sonnet-4-5"}
RETRY = {"type": "system", "subtype": "api_retry", "attempt": 2, "error": "rate_limit"}
RESULT = {"type": "result", "subtype": "success", "is_error": False, "num_turns": 4, "duration_ms": 412, "total_cost_usd": 0.0051, "result": "Done."}


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}}


def gave(content: Any, **more: Any) -> dict[str, Any]:
    return {"type": "user", "message": {"content": [{"type": "tool_result", "content": content, **more}]}}


def tool(name: str, **given: str) -> dict[str, Any]:
    return said({"type": "tool_use", "name": name, "input": given})


def shown(*lines: dict[str, Any] | str, reader: type[Reader] = ClaudeReader) -> list[str]:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    return list(readable(texts, reader, re.compile(r"/pool/\d+/tree/")))


def log_of(hub: Hub, issue: Issue, where: str, text: str) -> None:
    """A log of an issue in the folder of a run: RUN:PHASE:TRY."""
    run, phase, number = where.split(":")
    journal = Journal(hub.place.runs / run)
    journal.keep({"issues": [asdict(issue)], "agent": "claude"})
    journal.log(Order(run=run, issue=issue.id, issue_key=issue.key, phase=phase, attempt=int(number))).write_text(text)


def printed(hub: Hub, capfdbinary: pytest.CaptureFixture[bytes], wanted: str, *, raw: bool = False) -> str:
    show_log("i1", hub.path, wanted, raw=raw)
    sys.stdout.flush()
    return capfdbinary.readouterr().out.decode()


def test_what_claude_says_is_text_and_what_it_does_a_line_each() -> None:
    assert shown(INIT, said({"type": "text", "text": "I look.\nThen I write."}), tool("Edit", file_path="/pool/3/tree/shelf/a.py", old="x"), RETRY, RESULT) == [
        "session cd905907 with claude-sonnet-4-5",
        "I look.\nThen I write.",
        "→ Edit shelf/a.py",
        "waits for the API (rate_limit, attempt 2)",
        "\nended: 4 turns, 0.4 s, $0.01\nDone.",
    ]


def test_what_a_tool_gave_is_shortened_and_its_failure_told() -> None:
    assert shown(gave("\n".join("abcdefg"))) == ["    a\n    b\n    c\n    d\n    … 3 more lines"]
    assert shown(gave([{"type": "text", "text": "x" * 500}, {"type": "image"}], is_error=True)) == ["    failed:\n    " + "x" * 160 + "\n    (image)"]
    assert shown(tool("Bash", command="a\nb " * 200))[0].count("\n") == 0


def test_an_end_with_an_error_says_so_with_its_kind() -> None:
    cut = {**RESULT, "subtype": "error_max_turns", "is_error": True, "result": None, "errors": ["Reached maximum number of turns (4)"]}
    assert shown(cut) == ["\nended with an error (error_max_turns): 4 turns, 0.4 s, $0.01\nReached maximum number of turns (4)"]
    assert shown({**RESULT, "is_error": True})[0].startswith("\nended with an error: ")


def test_a_structured_answer_is_shown_as_such() -> None:
    assert shown({**RESULT, "structured_output": {"summary": "größer"}})[0].endswith('{\n "summary": "größer"\n}')


@pytest.mark.parametrize("line", ["Not logged in", '{"type": "assist', "[1]", "7", '{"name": "no event"}', '{"type": "result"}', '{"type": ["x"]}'])
def test_a_line_that_is_cut_or_no_event_that_is_known_is_shown_as_it_is(line: str) -> None:
    assert shown(line) == [line]


@pytest.mark.parametrize("event", [{"type": "new_kind"}, {"type": "system", "subtype": "task_started"}, {"type": "user", "message": {"content": "a prompt"}}])
def test_an_event_that_tells_people_nothing_is_left_out(event: dict[str, Any]) -> None:
    assert shown(event) == []


def test_what_other_agents_and_tests_print_is_text_without_what_moves_a_cursor() -> None:
    lines = ["\x1b[31mred\x1b[0m\n", "\n", "\x1b]0;title\x07tab\tstays\r\n", '{"type": "system"}\n', "be\x07ll\x1b[2J\n"]
    assert shown(*lines, reader=Reader) == ["red", "", "tab\tstays", '{"type": "system"}', "bell"]


def test_the_newest_try_is_shown_or_the_one_that_is_named(hub: Hub, issue: Issue, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    for number in (2, 10):
        log_of(hub, issue, f"r1:build:{number}", f"try {number}\n")
    assert (printed(hub, capfdbinary, "build"), printed(hub, capfdbinary, "build:2")) == ("try 10\n", "try 2\n")


def test_a_phase_that_the_newest_run_found_done_is_shown_as_an_earlier_run_left_it(hub: Hub, issue: Issue, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log_of(hub, issue, "r1:build:1", "earlier\n")
    log_of(hub, issue, "r2:review:1", "later\n")
    assert (printed(hub, capfdbinary, "build"), printed(hub, capfdbinary, "review")) == ("earlier\n", "later\n")


def test_the_log_of_an_agent_is_readable_that_of_a_test_is_text_and_raw_is_as_it_is_kept(
    hub: Hub, issue: Issue, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    line = json.dumps(tool("Edit", file_path=f"{hub.place.pool}/3/tree/shelf/a.py")) + "\n"
    log_of(hub, issue, "r1:build:1", line)
    log_of(hub, issue, "r1:test:1", '{"type": "system"}\n')
    assert printed(hub, capfdbinary, "build") == "→ Edit shelf/a.py\n"
    assert printed(hub, capfdbinary, "test") == '{"type": "system"}\n'
    assert printed(hub, capfdbinary, "build", raw=True) == line


def test_the_log_of_a_check_is_shown_by_its_name_that_of_a_prompt_as_an_agents(
    hub: Hub, issue: Issue, repository: Repository, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    repository.commit("configure", **{"adw.toml": '[checks]\nlint = {command = "x"}\nwords = {prompt = "Is it?"}\n'})
    line = json.dumps(tool("Read", file_path="a.py")) + "\n"
    for name in ("lint", "words", "test-again"):
        log_of(hub, issue, f"r1:{name}:1", line)
    assert [printed(hub, capfdbinary, name) for name in ("words", "lint", "test-again")] == ["→ Read a.py\n", line, line]


@pytest.mark.parametrize("wanted", ["biuld", "build:3", "plan", "build:"])
def test_a_log_that_is_not_there_is_misuse_which_names_those_that_are(wanted: str, hub: Hub, issue: Issue) -> None:
    for phase, number in (("build", 1), ("build", 2), ("test", 1)):
        log_of(hub, issue, f"r1:{phase}:{number}", "x\n")
    with pytest.raises(Misuse, match=f"issue 'i1' has no log of '{wanted}' on this host: name one of build:1, build:2, test:1$"):
        show_log("i1", hub.path, wanted, raw=False)


def test_a_log_on_another_host_is_named_with_its_place(hub: Hub, issue: Issue) -> None:
    log_of(hub, issue, "r1:test:1", "x\n")
    order = Order(run="r1", issue=issue.id, issue_key=issue.key, phase="build")
    Journal(hub.place.runs / "r1").phase(order, "done", seconds=1.0, host="far", folder="/its/runs/r1")
    with pytest.raises(Misuse, match=rf"build:1 \(far:/its/runs/r1/logs/{issue.key}/1-build.log\), test:1$"):
        show_log("i1", hub.path, "build", raw=False)


def test_an_issue_that_has_printed_nothing_says_so(hub: Hub, issue: Issue) -> None:
    Journal(hub.place.runs / "r1").keep({"issues": [asdict(issue)]})
    with pytest.raises(Misuse, match="none of its phases has printed anything"):
        show_log("i1", hub.path, "build", raw=False)


@pytest.mark.parametrize(
    ("given", "mend"), [({"raw": True}, "adw show i1 --log PHASE --raw"), ({"log": "build", "as_json": True}, "adw show i1 --log build --raw")]
)
def test_flags_that_say_nothing_together_are_misuse(given: dict[str, Any], mend: str) -> None:
    with pytest.raises(Misuse, match=mend):
        show("i1", **given)


@pytest.mark.parametrize("raw", [[], ["--raw"]])
def test_a_reader_that_has_enough_is_no_error(raw: list[str], hub: Hub, issue: Issue) -> None:
    log_of(hub, issue, "r1:build:1", "a line of the log\n" * 100_000)
    command = [sys.executable, "-m", "adw", "show", "i1", "--log", "build", "--repo", str(hub.path), *raw]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"a line of the log\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 0)

"""The real Claude Code CLI against a scripted model on loopback."""

import os
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from adw.agents.base import Job
from adw.agents.claude import ClaudeAgent, ClaudeReader
from adw.errors import AdwError, AgentCut, AgentFailed, Halted, KeyRefused, ModelAway, RateLimited, SessionLost
from adw.money import Tokens
from tests.conftest import Rules, model

pytestmark = pytest.mark.usefixtures("claude")

WRITE = {"name": "Write", "input": {"file_path": "{cwd}/new.txt", "content": "new\n"}}
SCHEMA = {"type": "object", "properties": {"summary": {"type": "string"}}, "required": ["summary"]}


def job(folder: Path, **given: Any) -> Job:
    """A job whose prompt is its phase, in a folder of its own."""
    for name in ("tree", "own", "tmp"):
        (folder / name).mkdir(exist_ok=True)
    prompt = folder / "prompt.md"
    prompt.write_text("Do it.")
    return Job(**{"phase": "build", "prompt": prompt, "tree": folder / "tree", "folder": folder / "own", "new_session": str(uuid.uuid4())} | given)


class Kept(ClaudeReader):
    """A reader that keeps what it read."""

    def __init__(self, given: Job) -> None:
        super().__init__(given)
        self.printed: list[str] = []

    def take(self, line: str) -> None:
        self.printed.append(line)
        super().take(line)


def run(given: Job, url: str, key: str = "sk-test") -> tuple[Kept, int]:
    """Run the CLI as adw does, but without a keeper; returns its reader, and the exit status."""
    call, reader = ClaudeAgent("claude-sonnet-4-5").call(given), Kept(given)
    env = {"PATH": os.environ["PATH"], "HOME": str(given.folder), "TMPDIR": str(given.folder.parent / "tmp"), "ANTHROPIC_BASE_URL": url}
    env |= {"ANTHROPIC_API_KEY": key} if key else {}
    with given.prompt.open() as prompt:
        done = subprocess.run(
            call.argv, cwd=given.tree, env=env | call.env | {"CLAUDE_CODE_MAX_RETRIES": "0"}, stdin=prompt, capture_output=True, text=True, check=False
        )
    for line in (done.stderr + done.stdout).splitlines():
        reader.take(line)
    return reader, done.returncode


def played(folder: Path, rules: Rules, **given: Any) -> ClaudeReader:
    """What was read of a run that ended well."""
    with model(rules) as api:
        reader, status = run(job(folder, **given), api.url)
    reader.end(status)
    return reader


def test_it_edits_files_and_its_last_word_is_what_it_says(tmp_path: Path) -> None:
    reader = played(tmp_path, [{"match": "", "turns": [{"tools": [WRITE]}, {"text": "Done it."}]}])
    assert (tmp_path / "tree" / "new.txt").read_text() == "new\n"
    assert reader.said == "Done it."


def test_its_tokens_are_those_of_all_its_answers(tmp_path: Path) -> None:
    usage = {"input_tokens": 900, "output_tokens": 40, "cache_read_input_tokens": 5000, "cache_creation_input_tokens": 70}
    reader = played(tmp_path, [{"match": "", "turns": [{"tools": [WRITE], "usage": usage}, {"text": "Done.", "usage": usage}]}])
    assert reader.spent == {"claude-sonnet-4-5": Tokens(calls=2, input=1800, output=80, cache_read=10_000, cache_write=140)}
    assert reader.usd == pytest.approx((1800 * 3 + 80 * 15 + 10_000 * 0.3 + 140 * 3.75) / 1e6)


def test_what_it_does_is_told_with_the_file_as_the_repository_names_it(tmp_path: Path) -> None:
    given, seen = job(tmp_path), [""]
    with model(
        [{"match": "", "turns": [{"tools": [WRITE]}, {"tools": [{"name": "Bash", "input": {"command": "echo  a\necho b"}}]}, {"text": "Done."}]}]
    ) as api:
        lines = run(given, api.url)[0].printed
    reader = ClaudeReader(given)
    for line in lines:
        reader.take(line)
        seen.append(reader.doing)
    assert list(dict.fromkeys(seen)) == ["", "Write new.txt", "Bash echo a echo b", "Done."]


@pytest.mark.parametrize("phase", ["read", "edit"])
def test_an_agent_that_may_only_read_or_edit_has_no_tool_for_more(phase: Any, tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with model([{"match": "", "turns": [{"text": "ok"}]}], log) as api:
        run(job(tmp_path, tools=phase), api.url)
    assert '"Bash"' not in log.read_text()
    assert ('"Write"' in log.read_text()) == (phase == "edit")


def test_its_answer_is_structured_where_a_schema_asks_for_it(tmp_path: Path) -> None:
    turns = [{"tools": [{"name": "StructuredOutput", "input": {"summary": "s"}}]}, {"text": "ok"}]
    assert played(tmp_path, [{"match": "", "turns": turns}], tools="read", schema=SCHEMA).answer == {"summary": "s"}


def test_it_goes_on_with_a_session_in_another_folder(tmp_path: Path) -> None:
    log = tmp_path / "requests.jsonl"
    with model([{"match": "", "turns": [{"text": "The word is plover."}]}], log) as api:
        first, _ = run(job(tmp_path), api.url)
        (tmp_path / "elsewhere").mkdir()
        second, status = run(job(tmp_path, session=first.session, tree=tmp_path / "elsewhere"), api.url)
    second.end(status)
    assert second.session == first.session
    assert "The word is plover." in log.read_text().splitlines()[-1]


FAILURES: list[tuple[dict[str, Any], dict[str, Any], type[AdwError], str]] = [
    ({"fail": {"status": 401, "message": "invalid x-api-key"}}, {}, KeyRefused, "Invalid API key"),
    ({"fail": {"status": 403, "message": "forbidden"}}, {}, KeyRefused, "forbidden"),
    ({"fail": {"status": 400, "message": "Your credit balance is too low"}}, {}, KeyRefused, "(?i)credit balance"),
    ({"fail": {"status": 429}}, {}, RateLimited, "too much to do"),
    ({"fail": {"status": 529}}, {}, RateLimited, "too much to do"),
    ({"fail": {"status": 500}}, {}, ModelAway, "away"),
    ({"fail": {"status": 404}}, {}, Halted, "knows no such model"),
    ({"turns": [{"text": "no", "stop_reason": "refusal"}]}, {}, AgentFailed, "refus"),
    ({"turns": [{"tools": [WRITE]}]}, {"turns": 2}, AgentCut, "used up its turns"),
    ({"turns": [{"tools": [WRITE], "usage": {"input_tokens": 900_000}}]}, {"usd": 0.5}, AgentCut, "used up its money"),
    ({"turns": [{"text": "x"}]}, {"session": str(uuid.uuid4())}, SessionLost, "No conversation found"),
]


@pytest.mark.parametrize(("rule", "given", "error", "said"), FAILURES, ids=[f"{f[2].__name__}-{i}" for i, f in enumerate(FAILURES)])
def test_its_ends_are_told_apart(rule: dict[str, Any], given: dict[str, Any], error: type[AdwError], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said) as no:
        played(tmp_path, [{"match": "", **rule}], **given)
    assert no.type is error


def test_an_api_that_does_not_answer_is_away(tmp_path: Path) -> None:
    with model([]) as api:
        url = api.url
    reader, status = run(job(tmp_path), url)
    with pytest.raises(ModelAway):
        reader.end(status)


def test_without_a_key_or_a_login_it_is_a_matter_of_the_key(tmp_path: Path) -> None:
    with model([]) as api:
        reader, status = run(job(tmp_path), api.url, key="")
    with pytest.raises(KeyRefused, match="Not logged in"):
        reader.end(status)


def test_a_line_that_is_cut_or_unknown_is_passed_over(tmp_path: Path) -> None:
    reader = ClaudeReader(job(tmp_path))
    for line in ('{"type":"assistant","mess', '{"type":"new thing"}', '{"type":"assistant"}', '{"type":"result","modelUsage":[]}', "[]", "words"):
        reader.take(line)
    assert reader.spent == {}
    with pytest.raises(AgentFailed):
        reader.end(1)

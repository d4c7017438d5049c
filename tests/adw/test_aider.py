import subprocess
from pathlib import Path

import pytest
import yaml

from adw.agents import find_agent
from adw.config import AgentConfig
from adw.errors import AgentFailed, Halted, KeyRefused, Misuse, ModelAway, RateLimited
from adw.money import Tokens
from tests.adw.tools import job, read

MODEL = "anthropic/claude-sonnet-4-5"
# What aider 0.86.2 printed.
BEGAN = [
    "Aider v0.86.2",
    f"Model: {MODEL} with diff edit format, infinite output",
    "Git repo: .git with 1 files",
    "Repo-map: using 4096 tokens, auto refresh",
    "",
]
ANSWER = ["Here you go:", "", "b.py", "```python", "<<<<<<< SEARCH", "=======", "B = 1", ">>>>>>> REPLACE", "```"]
SPENT = "Tokens: 100 sent, 40 cache hit, 20 received. Cost: $0.00049 message, $0.00049 session."
APPLIED = ["", "b.py", "Applied edit to b.py"]
LIMITED = [
    'litellm.RateLimitError: AnthropicException - {"type": "error", "error": {"type": "api_error", "message": "slow", "code": 429}}',
    "The API provider has rate limited you. Try again later or check your quotas.",
    "Retrying in 0.2 seconds...",
]


def test_a_run_is_told_as_it_goes_on(tmp_path: Path) -> None:
    reader = read("aider", [*BEGAN, *ANSWER, "", SPENT, *APPLIED], job(tmp_path), MODEL)
    reader.end(0)
    assert (reader.said, reader.doing, reader.usd) == ("\n".join(ANSWER), "Edit b.py", 0.00049)
    assert reader.spent == {MODEL: Tokens(calls=1, input=60, output=20, cache_read=40)}


def test_tokens_add_up_and_money_is_that_of_the_session(tmp_path: Path) -> None:
    more = "Tokens: 2.5k sent, 1k cache write, 1.2k cache hit, 1.0M received. Cost: $1.10 message, $1,001.15 session."
    reader = read("aider", [*BEGAN, SPENT, "x", more, "Tokens: 10 sent, 5 received."], job(tmp_path), MODEL)
    assert reader.spent == {MODEL: Tokens(calls=3, input=60 + 300 + 10, output=20 + 1_000_000 + 5, cache_read=1240, cache_write=1000)}
    assert reader.usd == 1001.15


def test_an_error_that_was_overcome_is_none(tmp_path: Path) -> None:
    reader = read("aider", [*BEGAN, *LIMITED], job(tmp_path), MODEL)
    assert reader.doing == "waits for the API (RateLimitError)"
    for line in ("ok", SPENT):
        reader.take(line)
    reader.end(0)
    assert reader.said == "ok"


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        (['litellm.AuthenticationError: AnthropicException - {"message": "invalid x-api-key"}'], KeyRefused, "invalid x-api-key"),
        (["litellm.AuthenticationError: Missing Anthropic API Key - A call is being made to anthropic but no key is set"], KeyRefused, "Missing"),
        (['litellm.BadRequestError: AnthropicException - {"message": "Your credit balance is too low", "code": 400}'], KeyRefused, "credit"),
        (['litellm.APIConnectionError: AnthropicException - {"error": {"type": "permission_error", "message": "not yours"}}'], KeyRefused, "not yours"),
        (LIMITED, RateLimited, "slow"),
        (["litellm.InternalServerError: AnthropicException - [Errno 111] Connection refused."], ModelAway, "refused"),
        (["litellm.NotFoundError: AnthropicException - no such model"], Halted, "no such model"),
        (['litellm.BadRequestError: AnthropicException - {"message": "bad"}'], AgentFailed, "bad"),
        ([SPENT, "# 1 SEARCH/REPLACE block failed to match!", "Only 3 reflections allowed, stopping."], AgentFailed, "failed to match"),
        ([SPENT, "a.txt", "Cmd('git') failed due to: exit code(128)", "  cmdline: git add a.txt"], AgentFailed, "git add a.txt"),
        ([], AgentFailed, "without an answer"),
    ],
)
def test_what_went_wrong_is_told_though_the_exit_status_is_0(lines: list[str], error: type[Exception], words: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=words) as no:
        read("aider", [*BEGAN, *lines], job(tmp_path), MODEL).end(0)
    assert no.type is error


def test_a_model_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"agent\.model"):
        find_agent(AgentConfig(name="aider"), tmp_path)


def test_gits_index_is_left_alone_and_all_else_of_git_is_there(tmp_path: Path) -> None:
    given = job(tmp_path)
    env = find_agent(AgentConfig(name="aider", model=MODEL), tmp_path).call(given).env
    for argv in (["init", "--quiet"], ["add", "no such file"], ["status", "--porcelain"]):
        assert subprocess.run([env["GIT_PYTHON_GIT_EXECUTABLE"], *argv], cwd=given.tree, check=True, capture_output=True, text=True).stdout == ""
    (given.tree / "b.py").touch()
    assert subprocess.run([env["GIT_PYTHON_GIT_EXECUTABLE"], "status", "--porcelain"], cwd=given.tree, check=True, capture_output=True).stdout == b"?? b.py\n"


def test_what_may_only_read_asks(tmp_path: Path) -> None:
    agent, found = find_agent(AgentConfig(name="aider", model=MODEL), tmp_path), []
    for given in (job(tmp_path, tools="read"), job(tmp_path)):
        agent.call(given)
        found.append(yaml.safe_load((given.folder / "aider.conf.yml").read_text()).get("edit-format"))
    assert found == ["ask", None]

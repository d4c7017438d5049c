"""Real CLIs against an API on loopback; `tests/clis.py` says how they are installed."""

import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from adw import phases, proc
from adw.agents import find_agent
from adw.agents.base import Job, Reader
from adw.config import AgentConfig, Config
from adw.errors import AgentCut, AgentFailed, AgentSilent, Halted, KeyRefused, ModelAway, RateLimited, SessionLost
from adw.mirror import Hub
from adw.model import Attempt, Issue, Plan
from adw.phases import Site
from tests.clis import AIDER, ALL, CLIS, CODEX, GEMINI, MINI, OPENCODE, WITH_TOOLS, Cli, need, those
from tests.fake_models import CACHED, IN, OUT, serving

PROMPT = "Please add the file b.py."
ADDS = "printf 'B = 1\\n' > b.py"
HANGS = "python3 -c \"import time; open('begun', 'w').close(); time.sleep(600)\""
PATCH = "Here it is.\n\nb.py\n```python\n<<<<<<< SEARCH\n=======\nB = 1\n>>>>>>> REPLACE\n```\n"


@dataclass
class Desk:
    """Where agents work in a test."""

    root: Path
    requests: list[tuple[str, dict[str, Any], dict[str, Any]]] = field(default_factory=list)

    def job(self, **given: Any) -> Job:
        tree, folder = self.root / given.pop("tree", "tree"), self.root / "folder"
        for path in (tree, folder, self.root / "home", self.root / "tmp"):
            path.mkdir(exist_ok=True)
        if not (tree / ".git").exists():
            proc.kept(["git", "init", "-q"], cwd=tree, env=dict(os.environ), log=self.root / "git.log", minutes=1)
        (self.root / "prompt.md").write_text(PROMPT)
        return Job(phase="build", prompt=self.root / "prompt.md", tree=tree, folder=folder, **given)

    def work(  # noqa: PLR0913 - what a CLI meets is this much
        self, cli: Cli, job: Job, turns: list[dict[str, Any]], *, key: str = "sk-x", url: str = "", watch: Callable[[], str] = lambda: ""
    ) -> tuple[Reader, proc.Ended]:
        """Have a CLI work on a job."""
        with serving(turns, needs_tools=cli is not AIDER) as api, pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", f"{CLIS}/{cli.folder}{os.pathsep}{os.environ['PATH']}")
            address = (url or api.url) + cli.path
            job = replace(job, urls={cli.key: address})
            agent = find_agent(AgentConfig(name=cli.name, model=cli.model), self.root)
            call, reader = agent.call(job), agent.reader(job)
            assert PROMPT not in str(call)
            env = {
                "PATH": os.environ["PATH"],
                "HOME": str(self.root / "home"),
                "TMPDIR": str(self.root / "tmp"),
                "LANG": "C.UTF-8",
                proc.MARKER: str(self.root),
            }
            env |= {cli.url: address, **({cli.key: key} if key else {})}
            log = self.root / f"{uuid.uuid4()}.log"
            ended = proc.kept(call.argv, cwd=job.tree, env={**env, **call.env}, log=log, minutes=3, stdin=job.prompt, watch=watch)
            self.requests = api.requests
        for line in log.read_text(encoding="utf-8").splitlines():
            reader.take(line)
        return reader, ended


@pytest.fixture
def desk(cli: Cli, tmp_path: Path) -> Desk:
    need(cli)
    return Desk(tmp_path)


@those(*WITH_TOOLS)
def test_a_cli_runs_commands_and_tells_what_it_does_what_it_spent_and_what_it_said(cli: Cli, desk: Desk) -> None:
    job = desk.job(new_session=str(uuid.uuid4()))
    reader, ended = desk.work(cli, job, cli.runs(ADDS))
    reader.end(ended.status)
    assert (job.tree / "b.py").read_text() == "B = 1\n"
    (model, tokens), *others = reader.spent.items()
    assert (model, others) == (cli.model, [])
    assert (tokens.calls, tokens.input, tokens.cache_read, tokens.output) == (2, 2 * (IN - CACHED), 2 * CACHED, 2 * OUT)
    assert reader.said == "done"
    assert bool(reader.session) == (cli is not MINI)
    assert {path.name for path in job.tree.iterdir()} == {".git", "b.py"}
    assert not list((desk.root / "home").rglob("*.json")), "its settings are in its own folder"


@those(AIDER)
def test_aider_edits_and_leaves_nothing_else(cli: Cli, desk: Desk) -> None:
    job = desk.job()
    reader, ended = desk.work(cli, job, [{"text": PATCH}])
    reader.end(ended.status)
    assert (job.tree / "b.py").read_text() == "B = 1\n"
    assert {path.name for path in job.tree.iterdir()} == {".git", "b.py"}
    assert (reader.doing, reader.spent[cli.model].total % (IN + OUT)) == ("Edit b.py", 0)


@those(CODEX, OPENCODE, GEMINI)
def test_what_may_only_read_writes_nothing(cli: Cli, desk: Desk) -> None:
    job = desk.job(tools="read")
    reader, ended = desk.work(cli, job, cli.runs(ADDS))
    reader.end(ended.status)
    assert not (job.tree / "b.py").exists()
    assert reader.said == "done"


@those(AIDER)
def test_aider_only_answers_where_it_may_only_read(cli: Cli, desk: Desk) -> None:
    job = desk.job(tools="read")
    reader, ended = desk.work(cli, job, [{"text": PATCH}])
    reader.end(ended.status)
    assert not (job.tree / "b.py").exists()
    assert reader.said == PATCH.strip()


@those(CODEX, OPENCODE, GEMINI)
def test_a_session_goes_on_in_another_tree_and_counts_only_what_is_new(cli: Cli, desk: Desk) -> None:
    first, ended = desk.work(cli, desk.job(new_session=str(uuid.uuid4())), cli.runs("true"))
    first.end(ended.status)
    job = desk.job(tree="other", session=first.session)
    second, ended = desk.work(cli, job, [*cli.runs("true"), {**cli.runs(ADDS)[0], "text": ""}, {"text": "again"}])
    second.end(ended.status)
    assert (job.tree / "b.py").exists()
    assert second.said == "again"
    assert sum(tokens.total for tokens in second.spent.values()) == 2 * (IN + OUT)
    assert "first" in str(desk.requests[0][2])


@those(CODEX, OPENCODE, GEMINI)
def test_a_session_that_is_unknown_is_lost(cli: Cli, desk: Desk) -> None:
    first, _ = desk.work(cli, desk.job(), [{"text": "done"}])
    unknown = str(uuid.uuid4()) if "-" in first.session else "ses_0000000000000000000000000"
    reader, ended = desk.work(cli, desk.job(session=unknown), [{"text": "done"}])
    with pytest.raises(SessionLost):
        reader.end(ended.status)


OUTCOMES = [
    ({"status": 401, "message": "invalid key"}, KeyRefused),
    ({"status": 403, "message": "not yours"}, KeyRefused),
    ({"status": 400, "message": "Your credit balance is too low"}, KeyRefused),
    ({"status": 400, "message": "no such thing"}, AgentFailed),
    ({"status": 404, "message": "no such model"}, Halted),
    ({"status": 429, "message": "slow down", "headers": {"retry-after": "1"}}, RateLimited),
    ({"status": 529, "message": "overloaded"}, RateLimited),
    ({"status": 500, "message": "broken"}, ModelAway),
    ({"status": 503, "message": "broken"}, ModelAway),
]
PATIENT = {OPENCODE.name: {529, 500, 503}, AIDER.name: {429, 529, 500, 503}}  # they try for more than a minute


@pytest.mark.parametrize(("turn", "error"), OUTCOMES, ids=[str(turn["status"]) + kind.__name__ for turn, kind in OUTCOMES])
@those(*ALL)
def test_an_answer_of_the_api_is_told_for_what_it_is(cli: Cli, desk: Desk, turn: dict[str, Any], error: type[Exception]) -> None:
    if turn["status"] in PATIENT.get(cli.name, ()):
        pytest.skip("it tries for more than a minute")
    reader, ended = desk.work(cli, desk.job(), [turn])
    with pytest.raises(error) as no:
        reader.end(ended.status)
    assert no.type is error


@those(*ALL)
def test_no_key_is_told(cli: Cli, desk: Desk) -> None:
    reader, ended = desk.work(cli, desk.job(), [{"text": "done"}], key="")
    with pytest.raises(KeyRefused):
        reader.end(ended.status)


@those(GEMINI, MINI)
def test_an_api_that_is_not_there_is_told(cli: Cli, desk: Desk) -> None:
    reader, ended = desk.work(cli, desk.job(), [{"text": "done"}], url="http://127.0.0.1:9")
    with pytest.raises(ModelAway):
        reader.end(ended.status)


@those(OPENCODE, GEMINI, MINI)
def test_a_limit_of_turns_cuts(cli: Cli, desk: Desk) -> None:
    again = cli.runs("true")[0]
    reader, ended = desk.work(cli, desk.job(turns=2), [again, again, again, {"text": "done"}])
    with pytest.raises(AgentCut):
        reader.end(ended.status)


@those(*WITH_TOOLS)
def test_nothing_of_a_cli_that_is_cut_lives_on(cli: Cli, desk: Desk) -> None:
    job = desk.job()
    _, ended = desk.work(cli, job, cli.runs(HANGS), watch=lambda: "enough" if (job.tree / "begun").exists() else "")
    assert ended.cut == "enough"
    assert not [p for p in psutil.process_iter() if proc._carries(p, str(desk.root))]  # noqa: SLF001


@those(CODEX)
def test_a_schema_gives_an_answer(cli: Cli, desk: Desk) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}, "s": {"type": "string"}}, "required": ["s"]}
    reader, ended = desk.work(cli, desk.job(schema=schema), [{"text": '{"n": 3, "s": "x"}'}])
    reader.end(ended.status)
    assert reader.answer == {"n": 3, "s": "x"}
    asked = desk.requests[0][2]["text"]["format"]["schema"]
    assert (asked["required"], asked["additionalProperties"], asked["properties"]["n"]) == (["n", "s"], False, {"type": "integer"})


@those(CODEX, OPENCODE, GEMINI)
def test_a_cli_that_waits_for_its_api_for_ever_is_stopped_and_goes_on_with_its_session_and_files_in_the_sandbox(
    cli: Cli, hub: Hub, issue: Issue, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(cli)
    monkeypatch.setenv("PATH", f"{CLIS}/{cli.folder}{os.pathsep}{os.environ['PATH']}")
    (hub.place.runs / "r1").mkdir(parents=True)
    attempt = Attempt(number=1, base=hub.tip(), base_tree=hub.mirror.tree_of(hub.tip()))
    first, *_ = cli.runs("echo 1 > first.txt")
    second, done = cli.runs("echo 2 > second.txt")
    with serving({"You were interrupted": [second, second, second, done], "Resolve the issue": [first, {"hang": True}]}) as api:
        agent = {"name": cli.name, "model": cli.model, "base_url": {cli.key: api.url + cli.path}, "silent_minutes": 0.2}
        config = Config.model_validate({"agent": agent, "sandbox": {"mode": "required"}, "pool": {"size": 2, "memory_gb": 0, "disk_floor": 0}})
        site = Site(run="r1", repository=str(hub.path), branch=hub.branch, config=config)
        with pytest.raises(AgentSilent):
            phases.build(site, issue, Plan(text="write files"), attempt, {cli.key: "sk-x"})
        before = len(api.requests)
        change, _ = phases.build(site, issue, Plan(text="write files"), attempt, {cli.key: "sk-x"})
        assert "echo 1 > first.txt" in str(api.requests[before][2]), "it remembers"
    assert set(hub.mirror.touched(change.base_tree, change.tree)) == {"first.txt", "second.txt"}

"""What adw costs around a real agent: `make bench-agents` (needs `make clis`).

The same prompt, by the bare Claude Code CLI and by a phase of adw (slot, sandbox, gateway, transcript), in turn in one run,
against a model on loopback that answers at once; and the memory of a run whose ten agents are all at work. Exit status 1 if a
limit is not met.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from adw import phases
from adw.agents.claude import TOOLS
from adw.answers import PlanAnswer, schema
from adw.config import AgentConfig, ChecksConfig, Config, PoolConfig
from adw.desk import at_desk
from adw.errors import Misuse
from adw.mirror import find_hub, sync
from adw.model import Attempt, Issue
from adw.phases import Site
from benchmarks.small import MB, Figure, adw, own_memory, repository, timed

ROUNDS, AGENTS = 9, 10
HANGS = "time.sleep(3600)"
ANSWER: dict[str, Any] = {"summary": "Do it.", "files": [], "items": []}
SCRIPT: list[dict[str, Any]] = [
    {"match": "Plan how", "turns": [{"tools": [{"name": "StructuredOutput", "input": ANSWER}]}, {"text": "ok"}]},
    {"match": "Resolve the", "turns": [{"tools": [{"name": "Bash", "input": {"command": f"python3 -c 'import time; {HANGS}'"}}]}]},
]
ROOT = Path(__file__).parent.parent


@contextmanager
def model(folder: Path, rules: list[dict[str, Any]], *options: str) -> Iterator[str]:
    """For the block, a scripted model on loopback; its address."""
    script = folder / "script.json"
    script.write_text(json.dumps(rules))
    argv = [sys.executable, str(ROOT / "tests" / "fake_anthropic.py"), "--script", str(script), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        if server.stdout is None:
            raise TypeError
        try:
            yield "http://" + server.stdout.readline().split()[1]
        finally:
            server.kill()


def find_claude() -> None:
    """Have the Claude Code CLI that the tests drive found first."""
    cli = next(ROOT.glob(".clis/node_modules/@anthropic-ai/claude-code-linux-*/claude"), None)
    if cli is None:
        msg = "the Claude Code CLI is not there: `make clis`, in a checkout of adw"
        raise Misuse(msg)
    os.environ["PATH"] = f"{cli.parent}{os.pathsep}{os.environ['PATH']}"


def bare(folder: Path, prompt: str, argv: list[str]) -> None:
    """The CLI by itself, with the same flags."""
    for name in ("home", "tmp", "config"):
        (folder / name).mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "CLAUDE_CONFIG_DIR": str(folder / "config")}
    env |= {"ANTHROPIC_API_KEY": "bench", "ANTHROPIC_BASE_URL": os.environ["ANTHROPIC_BASE_URL"], "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    subprocess.run(argv, input=prompt, text=True, env=env, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def overhead(folder: Path) -> Iterator[Figure]:
    """A phase of adw against the bare CLI on the same prompt."""
    hub = find_hub(repository(folder / "hub", 100))
    sync(hub)
    config = Config(
        agent=AgentConfig(name="claude", model="claude-sonnet-4-5"), test=ChecksConfig(command="true"), pool=PoolConfig(size=1, memory_gb=0, disk_floor=0)
    )
    site = Site(run="bench", repository=str(hub.path), branch="main", config=config)
    site.journal().keep({})
    attempt = Attempt(number=1, base=hub.tip(), base_tree=hub.mirror.tree_of(hub.tip()))
    work = folder / "bare"
    work.mkdir()
    ours: list[float] = []
    theirs: list[float] = []
    with at_desk(config, site.journal()):
        for number in range(ROUNDS + 1):
            issue = Issue(id=f"i{number}", title="Add it", body="please")
            prompt = phases.plan_prompt(site, issue, attempt)
            with timed(ours):
                phases.plan(site, issue, attempt, {"ANTHROPIC_API_KEY": "bench"})
            with timed(theirs):
                bare(work, prompt, [*_flags(), "--session-id", str(uuid.uuid4())])
    adws, clis = statistics.median(ours[1:]), statistics.median(theirs[1:])  # the first of each made what the others find
    yield Figure(f"a phase of adw, less the bare CLI on the same prompt ({clis:.2f} s)", adws - clis, "s", 1)


def _flags() -> list[str]:
    """The flags that adw gives the CLI in plan."""
    flags = ["--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits", *TOOLS["read"], "--strict-mcp-config", "--setting-sources", ""]
    return ["claude", "-p", *flags, "--model", "claude-sonnet-4-5", "--json-schema", json.dumps(schema(PlanAnswer))]


def agents_of(home: Path) -> list[psutil.Process]:
    """The processes of agents, their CLIs and tools."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in process.environ().get("CLAUDE_CONFIG_DIR", "") and "keeper.py" not in " ".join(process.cmdline()[:4]):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _hangs(process: psutil.Process) -> bool:
    try:
        return HANGS in process.cmdline()[-1] and process.name().startswith("python")
    except (psutil.Error, IndexError):
        return False


def memory(folder: Path) -> Iterator[Figure]:
    """A run whose ten agents are all in the middle of a tool call."""
    home, hub = folder / "many", repository(folder / "crowd", 100)
    (hub / "adw.toml").write_text(
        f'[agent]\nname = "claude"\nmodel = "claude-sonnet-4-5"\nsecrets = {{ ANTHROPIC_API_KEY = "bench" }}\n[test]\ncommand = "true"\n[pool]\nsize = {AGENTS}\nmemory_gb = 0\n'
    )
    issues = folder / "issues"
    issues.mkdir()
    for number in range(AGENTS):
        (issues / f"i{number}.md").write_text(f"# Add {number}\n\nplease\n")
    os.environ["ANTHROPIC_API_KEY"] = "bench"
    process = adw(home, hub, "run", str(issues))
    try:
        until = time.monotonic() + 240
        while sum(_hangs(p) for p in agents_of(home)) < AGENTS:
            if process.poll() is not None or time.monotonic() > until:
                sys.exit("the ten agents did not come to work")
            time.sleep(0.5)
        yield Figure(f"memory of adw itself with {AGENTS} agents at work, the server included", own_memory(home), "MB", 700)
        sizes = [p.memory_full_info() for p in agents_of(home)]
        print(f"    the agents themselves: {sum(getattr(s, 'pss', s.rss) for s in sizes) / MB / AGENTS:.0f} MB each, their tools included", flush=True)
    finally:
        process.terminate()
        process.wait()
        subprocess.run([sys.executable, "-m", "adw", "clean", "--server"], cwd=hub, env={**os.environ, "ADW_HOME": str(home)}, check=True, capture_output=True)


def main() -> int:
    """Measure all and print it."""
    find_claude()
    figures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ADW_HOME"] = str(folder / "home")
        with model(folder, SCRIPT) as os.environ["ANTHROPIC_BASE_URL"]:
            for measure in (overhead, memory):
                for figure in measure(folder):
                    print(figure, flush=True)
                    figures.append(figure)
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`adw doctor`: what adw needs, each with its mend."""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

from adw import clean, guard, sandbox, server
from adw.agents.command import missing_program
from adw.cli import inspect, memories, sources
from adw.cli.view import print_json
from adw.config import Config
from adw.errors import AdwError
from adw.git import git_version
from adw.home import home, writable_home
from adw.mirror import Hub, find_hub

OLDEST_GIT = (2, 38)  # the first with `merge-tree --write-tree`


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked."""

    what: str
    good: bool
    detail: str


def doctor(repo: Path, *, ask: bool, as_json: bool) -> int:
    """Print what is well and what is not; exit status 1 if something is not."""
    findings, console = [], Console(stderr=as_json)
    with console.status("looking") as moving:
        for finding in examine(repo, ask=ask, tell=moving.update):
            findings.append(finding)
            mark = ("✓ ", "green") if finding.good else ("✗ ", "red")
            if not as_json:
                console.print(Text.assemble(mark, (f"{finding.what}: ", "bold"), finding.detail), soft_wrap=True)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    return 0 if all(finding.good for finding in findings) else 1


def examine(repo: Path, *, ask: bool = False, tell: Callable[[str], None] = lambda _text: None) -> Iterator[Finding]:
    """Check one thing after the other, with `ask` whether agents answer, too; what cannot be checked without another is left out."""
    yield attempt("git", _git)
    yield attempt("adw's folder", lambda: str(writable_home()))
    yield attempt("disk", lambda: _disk(Config().pool.disk_floor))
    yield attempt("Prefect server", _server)
    yield (found := attempt("repository", lambda: f"{repo.absolute()}, branch {find_hub(repo).branch}"))
    if not found.good:
        return
    hub = find_hub(repo)
    yield (
        read := attempt(
            "configuration",
            lambda: "adw.toml is well" if hub.config_text() and hub.config() else "no adw.toml: `adw init` writes one, or give flags to `adw run`",
        )
    )
    if not read.good:
        return
    config = hub.config()
    yield attempt("landing", lambda: inspect.landing(config, hub))
    if config.schedule.label:
        yield attempt("issues", lambda: sources.state(hub, config))
    yield attempt("test command", lambda: _test(config, hub))
    for name, phase in inspect.configured(config).items():
        yield attempt(f"agent {name}", partial(inspect.agent, config, hub, phase))
        if ask:
            yield attempt(f"agent {name}", partial(inspect.answers, config, hub, phase, tell))
            tell("looking")
    yield attempt("other agents", lambda: inspect.others(config))
    yield attempt("remembered", lambda: memories.state(hub, config))
    yield _sandbox(config)
    slots = guard.slots(config.pool)
    yield Finding("memory", good=True, detail=f"enough for {slots} of {config.pool.size} slots at {config.pool.memory_gb:g} GB each")
    dead = clean.dead(hub.place)
    yield Finding(
        "runs", not dead, f"{len(dead)} were killed and not resumed: `adw resume` goes on with the last one" if dead else "none is left over from a crash"
    )
    stale = [path for path in hub.git.directory.glob("**/*.lock") if "refs" in path.parts or path.parent == hub.git.directory]
    yield Finding(
        "locks",
        not stale,
        f"git's lock files are held in {hub.path}: if no git command runs there, remove {', '.join(map(str, stale))}" if stale else "no git lock is held",
    )


def attempt(what: str, check: Callable[[], str]) -> Finding:
    """The check's word, or the reason why it failed."""
    try:
        return Finding(what, good=True, detail=check())
    except AdwError as no:
        return Finding(what, good=False, detail=str(no))


def _git() -> str:
    found = git_version()
    numbers = tuple(int(n) for n in re.findall(r"\d+", found)[:2])
    if numbers < OLDEST_GIT:
        msg = f"{found} is too old: adw needs {'.'.join(map(str, OLDEST_GIT))} or newer"
        raise AdwError(msg)
    return found


def _disk(floor: float) -> str:
    guard.check_disk(home(), floor)
    return f"{guard.free_percent(home()):.0f} % is free"


def _server() -> str:
    if api := server.users_own():
        server.check_version(api)
        return f"yours, {api}"
    return "adw's own, running" if server.kept() else "adw's own, started when it is needed"


def _sandbox(config: Config) -> Finding:
    """Without one where it is only wished for, all is well, and said."""
    off = "switched off: agents and tests may do what you may" if config.sandbox.mode == "off" else ""
    reason = off or sandbox.why_not(config.sandbox)
    return Finding("sandbox", not reason or config.sandbox.mode != "required", reason or "agents and tests run in one (bubblewrap)")


def _test(config: Config, hub: Hub) -> str:
    if not config.test.command:
        msg = "none is set: set test.command in adw.toml, or give --test-command"
        raise AdwError(msg)
    if missing := missing_program(config.test.command, hub.root):
        msg = f"its program {missing!r} is not installed: install it, or change test.command in adw.toml"
        raise AdwError(msg)
    return config.test.command

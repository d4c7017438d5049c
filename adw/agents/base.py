"""What adw asks of an agent: a command that works on a prompt in the current directory, and a reader of what it prints.

    job  ── agent.call ──> command line, environment   (run by `adw.asking`, under a keeper, in a slot)
    what it prints ── agent.reader ──> what it does now, what it spent, what it said, how it ended

An adapter is a small module with one class. It starts nothing itself.
"""

import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol, Self

from adw.config import AgentConfig, Tools
from adw.errors import AgentFailed, Misuse
from adw.money import Tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A model's API as a CLI is told of it: by which variables of the environment."""

    protocol: str  # anthropic or openai, which adw's gateway speaks; empty: another, and agents go there directly
    key: str  # the variable of the key
    url: str  # the variable of the address
    vendor: str  # the address of the vendor
    path: str = ""  # what the CLI wants at the end of the address, such as /v1


ANTHROPIC = Api(protocol="anthropic", key="ANTHROPIC_API_KEY", url="ANTHROPIC_BASE_URL", vendor="https://api.anthropic.com")
OPENAI = Api(protocol="openai", key="OPENAI_API_KEY", url="OPENAI_BASE_URL", vendor="https://api.openai.com/v1", path="/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where a CLI keeps the login of a user's own account, relative to HOME, and where it looks for it in a folder of its own."""

    home: str
    own: str  # relative to `Job.folder`


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work for an agent."""

    phase: str
    prompt: Path  # a file with the prompt; it is the standard input, too
    tree: Path  # the current directory
    folder: Path  # the agent's own: its configuration and sessions; kept until the phase has a result
    tools: Tools = "run"
    session: str = ""  # the id of the session to go on with; empty: a new one
    new_session: str = ""  # a UUID for a new one, for those CLIs that take one
    schema: Mapping[str, Any] | None = None  # the JSON schema of the answer, if it must have one
    turns: int = 0  # at most; 0: no limit
    usd: float = 0.0  # at most; 0.0: no limit
    urls: Mapping[str, str] = field(default_factory=dict)  # variable of a key → address of its API, where that is not the vendor's


@dataclass(frozen=True, slots=True)
class Call:
    """How to have an agent work on a job: its command line, and what it needs in its environment. The prompt is in neither."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    readable: tuple[Path, ...] = ()  # what it needs beside its program, also where a sandbox hides it


class Reader:
    """Reads what an agent prints, line by line as it comes. This one takes it as plain text; adapters say more.

    A line that is unknown, cut or no JSON is no error: it is passed over.
    """

    def __init__(self) -> None:
        self.doing = ""  # a tool, and on what: for the live table
        self.session = ""  # the id by which the CLI can go on with this session, if it can
        self.spent: dict[str, Tokens] = {}  # by model, so far; only ever grows
        self.usd: float | None = None  # what the CLI itself says that all this cost
        self.answer: dict[str, Any] | None = None  # structured, where the CLI gives such
        self.text: list[str] = []

    def take(self, line: str) -> None:
        """Take in a line, without its end."""
        self.text.append(line)

    @staticmethod
    def show(line: str) -> str:
        """A line for people, as `adw show --log` prints it; empty if it tells them nothing."""
        return line

    @property
    def said(self) -> str:
        """What the agent said in the end."""
        return "\n".join(self.text).strip()

    def end(self, status: int) -> None:
        """Judge how the command ended, which adw did not cut short: nothing if it did what was asked, else an error of `adw.errors`.

        AgentFailed: it refused or gave up. AgentCut: it hit its limit of turns or money. RateLimited, ModelAway: the API.
        KeyRefused: the key or the account. SessionLost: there is no such session.
        """
        if status:
            msg = f"the agent said no (exit status {status}):\n{self.said}"
            raise AgentFailed(msg)


class Agent(Protocol):
    """One way to have files edited."""

    program: ClassVar[str]  # the CLI's program; empty if there is none in particular
    tried: ClassVar[str]  # the version that was tried with adw; empty if there are no versions
    install: ClassVar[str]  # how it is installed, for people
    apis: ClassVar[tuple[Api, ...]]  # those that it can be sent to another address of
    keys: ClassVar[tuple[str, ...]]  # the variables that it takes a key from; any of them is enough
    login: ClassVar[Login | None]
    structured: ClassVar[bool]  # whether plan and review must answer in JSON; else its exit status is the verdict

    @classmethod
    def of(cls, config: AgentConfig, repository: Path) -> Self:
        """Make it from the configuration of a phase; Misuse if something that it needs is missing."""

    @property
    def identity(self) -> str:
        """What decides its answers beside the prompt: part of cache keys, so never a path, a time or a secret."""

    def call(self, job: Job) -> Call:
        """The command that works on a job. It may write its configuration into `job.folder`."""

    def reader(self, job: Job) -> Reader:
        """What reads the output of that command."""


def installed(kind: type[Agent]) -> None:
    """Misuse if the program of a kind of agent is not installed; the text says how it is."""
    if not shutil.which(kind.program):
        msg = f"the agent's program {kind.program!r} is not installed: {kind.install}, or name another (agent.name in adw.toml, or --agent)"
        raise Misuse(msg)


def own_file(folder: Path, path: Path) -> IO[bytes]:
    """A plain file somewhere in the agent's folder, opened to be read.

    OSError if it is something else, or if a link is on the way to it: else an agent could have adw read what it cannot read itself,
    or wait for a pipe for ever.
    """
    *folders, name = path.relative_to(folder).parts
    if ".." in folders:
        raise NotADirectoryError(str(path))
    at = os.open(folder, os.O_DIRECTORY)
    try:
        for part in folders:
            above, at = at, os.open(part, os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(above)
        found = os.open(name, os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise FileNotFoundError(str(path))
    return os.fdopen(found, "rb")


def own_path(job: Job, name: str) -> Path:
    """A path in the agent's folder that can be written: links and files that an agent may have put in its way in an earlier session are gone."""
    path = job.folder
    for part in Path(name).parts[:-1]:
        path /= part
        if path.is_symlink() or path.is_file():
            path.unlink()
        path.mkdir(exist_ok=True)
    path /= Path(name).name
    if path.is_symlink() or path.is_file():
        path.unlink()
    return path

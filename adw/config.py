"""`adw.toml`: what a repository says about its tests, its agent and its pool.

Every setting has a default but the test command, so that a repository without the file can be run with flags alone.
"""

import re
import tomllib
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ByteSize, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from adw.errors import Misuse
from adw.memory.model import LASTS, Kind
from adw.model import AGENT_PHASES, PHASES, PIECED, phase_of

FILE = "adw.toml"
SCHEMA_FILE = ".adw.schema.json"
# What is kept under these names is no check's.
TAKEN = (*PHASES, "approved", "candidate", "check", "decided", "heard", "kept", "landed", "offered", "resolve", "split", "try")

SECRET = "secret"  # noqa: S105 - the type of an error whose input is not told

SecretName = Annotated[str, Field(pattern=r"^[a-z0-9-]*$")]  # of a Prefect Secret block, or of none
BlockName = Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]  # as Prefect wants it
Minutes = Annotated[float, Field(gt=0)]


def _with_unit(size: ByteSize) -> ByteSize:
    if 0 < size < 1_000_000:  # noqa: PLR2004
        msg = "it must be a size such as 4GB or 512MB"
        raise ValueError(msg)
    return size


Size = Annotated[ByteSize, AfterValidator(_with_unit)]


class Section(BaseModel):
    """A table of `adw.toml`; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Severity = Literal["note", "warning", "error"]
Tools = Literal["read", "edit", "run"]
Gate = Literal["plan", "landing"]
Flaky = Literal["pass", "refuse"]
FLAKY = "What a test that fails, and passes when it is repeated on the same tree, counts for: `pass` or `refuse`. It is reported either way."


class PhaseAgentConfig(Section):
    """What one phase has differently; what is not set is as in `[agent]`."""

    name: str | None = Field(None, description="The kind of agent.")
    command: str | None = Field(None, description="For `command`: its line for sh.")
    model: str | None = Field(None, description="The model.")
    tools: Tools | None = Field(
        None, description="What the agent may do: `read` files (plan and review), `edit` them, or `run` commands, too (build and document)."
    )
    turns: int | None = Field(None, ge=0, description="How many turns it may take; 0: as many as it likes.")
    minutes: Minutes | None = Field(None, description="The time limit, in minutes.")
    usd: float | None = Field(None, ge=0, description="What the phase may cost, in US dollars; 0: no limit but the budget.")
    memory: Size | None = Field(None, description="The memory to reserve for the phase.", examples=["4GB"])


class AgentConfig(Section):
    """Who plans, builds, reviews and documents."""

    name: str = Field(
        "command",
        description="The kind of agent: `claude`, `codex`, `opencode`, `gemini`, `mini-swe-agent`, `aider`, `command` (any command line) "
        "or `scripted` (edits from a file, for demos and tests).",
    )
    model: str = Field("", description="The model, as the agent's CLI names it; by default the CLI's own default.", examples=["claude-sonnet-4-5"])
    command: str = Field(
        "",
        description="For `command`: a line for sh, run in the slot. `{prompt_file}` becomes the path of the prompt; without it the prompt "
        "comes on standard input. Exit status 0 means done (in review: approved); what it prints is the log (in plan: the plan).",
        examples=["my-agent --print < {prompt_file}"],
    )
    script: str = Field("", description="For `scripted`: the path of its script, relative to the repository.")
    minutes: Minutes = Field(30, description="The time limit of one phase, in minutes.")
    silent_minutes: float = Field(
        15,
        ge=0,
        description="After how many minutes in which it printed nothing, and neither it nor its commands did anything, an agent is stopped and goes on "
        "with its session; 0: never.",
    )
    turns: int = Field(0, ge=0, description="How many turns an agent may take in one phase; 0: as many as it likes.")
    usd: float = Field(0.0, ge=0, description="What one phase may cost, in US dollars; 0: no limit but the budget.")
    output_mb: float = Field(64.0, gt=0, description="How much an agent may print in one phase, in MB.")
    memory: Size = Field(
        ByteSize(0),
        description="The memory to reserve for each phase, such as 4GB: it is not begun before so much is free; 0: as much as `pool.memory_gb` allows, "
        "and no waiting for it where nothing else is at work.",
    )
    login: Literal["link", "home"] = Field(
        "link",
        description="How your own login reaches an agent that has no key: `link` gives it the file with the login, and nothing else of your home; "
        "`home` gives it your home.",
    )
    gateway: bool = Field(
        default=True,
        description="Whether agents reach the model through adw's gateway, where adw holds the key: they never see it. "
        "Switch it off for an agent that cannot be given another address of the API.",
    )
    base_url: dict[str, str] = Field(
        {},
        description="Where the API of a key is reached, if not at the vendor's: environment variable of the key → URL.",
        examples=[{"ANTHROPIC_API_KEY": "https://api.anthropic.com"}],
    )
    secrets: dict[str, BlockName] = Field(
        {},
        description="Environment variable of the agent → name of the Prefect Secret block that holds its value.",
        examples=[{"ANTHROPIC_API_KEY": "anthropic-api-key"}],
    )
    requests: int = Field(
        0, ge=0, description="How many agents may use the model at once, over all runs of this server; 0 means as many as the pool has slots."
    )
    plan: PhaseAgentConfig = PhaseAgentConfig()
    build: PhaseAgentConfig = PhaseAgentConfig()
    review: PhaseAgentConfig = PhaseAgentConfig()
    document: PhaseAgentConfig = PhaseAgentConfig()

    def at(self, phase: str) -> "AgentConfig":
        """The settings of one phase."""
        own = self._own(phase)
        return self.model_copy(update={name: value for name, value in own if value is not None and name != "tools"})

    def tools(self, phase: str) -> Tools:
        """What the agent may do in a phase: plan and review can read only, unless they are told otherwise."""
        return self._own(phase).tools or ("run" if phase_of(phase) in {"build", "document"} else "read")

    def _own(self, phase: str) -> PhaseAgentConfig:
        """What a phase has differently; a check's prompt is asked of the agent that reviews."""
        return {"plan": self.plan, "build": self.build, "document": self.document}.get(phase_of(phase), self.review)


class ReviewConfig(Section):
    """What a review decides."""

    refuse: tuple[Severity, ...] = Field(
        ("error",), description="Findings of which severity send a change back to build: `note`, `warning`, `error`; the others are only reported."
    )


class SkillsConfig(Section):
    """Analyses by tools (`adw skills` lists them): what plan is told of the base, build of what it wrote, and review of the change."""

    enabled: bool = Field(default=True, description="Whether skills are run in phases at all.")
    plan: tuple[str, ...] = Field(
        ("analyze_complexity", "analyze_dependencies", "analyze_patterns", "analyze_performance", "analyze_security"),
        description="What of the base plan is told a digest of.",
    )
    build: tuple[str, ...] = Field(
        ("validate_syntax", "validate_types"),
        description="What the agent is told of what it wrote, before build ends: new findings only. `validate_tests` takes as long as your tests take to "
        "be collected, and the test follows anyway.",
    )
    review: tuple[str, ...] = Field(
        (
            *("analyze_complexity", "analyze_dependencies", "analyze_patterns", "analyze_performance", "analyze_security", "analyze_style"),
            *("validate_docs", "validate_syntax", "validate_types"),
        ),
        description="What review is told of the change: new findings only.",
    )
    again: int = Field(1, ge=0, le=2, description="How often the agent is asked in build to mend what skills found in what it wrote.")
    limit: int = Field(16, ge=1, le=100, description="How many skills run at once in a phase.")
    seconds: float = Field(120.0, gt=0, description="The time limit of one skill, in seconds.")

    def at(self, phase: str) -> tuple[str, ...]:
        """The skills of a phase, or a piece of one."""
        return {"plan": self.plan, "build": self.build, "review": self.review}[phase_of(phase)] if self.enabled else ()


class BudgetConfig(Section):
    """What may be spent; 0 means no limit. A run or an issue that has spent its budget stops, with what is done kept."""

    run_usd: float = Field(0.0, ge=0, description="What one run may cost, in US dollars.")
    run_tokens: int = Field(0, ge=0, description="How many tokens one run may use, in and out.")
    issue_usd: float = Field(0.0, ge=0, description="What one issue may cost in one run, in US dollars.")
    issue_tokens: int = Field(0, ge=0, description="How many tokens one issue may use in one run, in and out.")


class Price(Section):
    """What a million tokens of a model cost, in US dollars."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cache_read: float | None = Field(None, ge=0)
    cache_write: float | None = Field(None, ge=0)

    @property
    def read(self) -> float:
        """What it costs to read from the cache; as input, where there is no other price."""
        return self.input if self.cache_read is None else self.cache_read

    @property
    def write(self) -> float:
        """What it costs to write to the cache; as input, where there is no other price."""
        return self.input if self.cache_write is None else self.cache_write


class GatewayConfig(Section):
    """The proxy on loopback between agents and the model, where adw holds the key."""

    requests: int = Field(5, ge=1, le=1000, description="How many requests are at the model at once at most; the others wait, the urgent ones first.")
    record: bool = Field(default=False, description="Whether each request and answer is kept in the run's folder, without secrets, so that it can be replayed.")


class BreakerConfig(Section):
    """When adw stops asking a model that does not answer."""

    failures: int = Field(
        4, ge=1, description="After how many failures of the same kind in a row (rate limit, overload, no connection, crash) no new agent is started."
    )
    seconds: float = Field(60.0, gt=0, description="After how many seconds one agent is let through to see whether it works again.")
    probes: int = Field(5, ge=1, description="After how many such trials in vain the run stops.")


class SandboxConfig(Section):
    """What agents and tests are kept from (Linux, with bubblewrap)."""

    mode: Literal["auto", "required", "off"] = Field(
        "auto", description="`auto`: a sandbox where it works, and a word where it does not; `required`: no work without one; `off`: none."
    )
    network: bool = Field(default=True, description="Whether tests and setup reach the network; agents always do.")
    readable: tuple[str, ...] = Field(
        (), description="Paths in your home that agents, tests and setup may read; the rest of it is hidden.", examples=[["~/.cargo", "~/.rustup"]]
    )
    writable: tuple[str, ...] = Field((), description="Paths that they may write, beside their slot, such as a package cache.", examples=[["~/.cache/uv"]])


class BuildConfig(Section):
    """Whether one change is built by several agents at once."""

    parallel: bool = Field(
        default=True,
        description="Whether items of a plan that touch no files in common are built side by side, each by an agent of its own in a slot of its own.",
    )
    items: int = Field(3, ge=2, description="Plans with fewer items than this are built by one agent.")


def _plain(text: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", text):
        msg = "it must be a plain word: a small letter, then small letters, digits, - and _"
        raise ValueError(msg)
    return text


def _group(text: str) -> str:
    if re.search(r"(^|-)(again|\d+)$", _plain(text)):
        msg = "a group cannot be called that: what ends in -again or a number is adw's own"
        raise ValueError(msg)
    return text


class Group(Section):
    """Some of the tests, by its name in `[test.groups.NAME]`."""

    command: str = Field(
        description="A line for sh; exit status 0 means passed. `{files}` becomes those files of `split` that are to be tested.",
        examples=["python -m pytest -q {files}"],
    )
    split: str = Field(
        "",
        description="A pattern of test files: they are shared out among several commands that run at once, balanced by how long they took before.",
        examples=["tests/unit/**/test_*.py"],
    )
    exclusive: tuple[Annotated[str, AfterValidator(_plain)], ...] = Field(
        (),
        description="What only one command may use at a time, by any name: groups that name the same never run at the same time, in all runs on this host.",
        examples=[["postgres"]],
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.command.strip():
            msg = "it needs a `command`"
            raise ValueError(msg)
        if bool(self.split) != ("{files}" in self.command):
            msg = "`split` needs a `command` with {files} in it, and the other way round"
            raise ValueError(msg)
        if self.split and self.exclusive:
            msg = "the parts of a group with `exclusive` could not run at the same time: leave out `split`"
            raise ValueError(msg)
        return self


class ChecksConfig(Section):
    """The test that each candidate must pass before it lands."""

    command: str = Field("", description="A line for sh; exit status 0 means passed.", examples=["python -m pytest -q"])
    minutes: Minutes = Field(20, description="The time limit of one test run, in minutes.")
    memory: Size = Field(ByteSize(0), description="The memory to reserve for one test run, such as 4GB, as in [agent].")
    flaky: Flaky = Field("pass", description=FLAKY)
    groups: dict[Annotated[str, AfterValidator(_group)], Group] = Field(
        {},
        description="What adw runs instead of the command, at once: groups of the tests, by name, each in a table `[test.groups.NAME]`; "
        "see docs/parallel.md of adw. The command is then what agents are told to run.",
        examples=[{"unit": {"command": "python -m pytest -q {files}", "split": "tests/unit/**/test_*.py"}}],
    )
    fail_fast: bool = Field(default=False, description="Whether the rest of the groups is stopped when a part of them fails; if not, all that fails is told.")


def _name(text: str) -> str:
    if _plain(text) in TAKEN or text.endswith("-again") or phase_of(text) != text:
        prefixes = " and ".join(f"{phase}-" for phase in PIECED)
        msg = f"a check cannot be called that: {', '.join(TAKEN)}, what ends in -again, and what begins with {prefixes} are adw's own"
        raise ValueError(msg)
    return text


class Check(Section):
    """A command or a prompt that judges beside test and review, by its name in `[checks.NAME]`."""

    command: str = Field("", description="A line for sh, run in a slot; exit status 0 means passed.", examples=["ruff check ."])
    prompt: str = Field(
        "",
        description="Instead of a command: what the agent that reviews is asked about the change, in words, or as the name of a file in `.adw/prompts/`.",
        examples=["Does the change open a file whose name comes from a user?"],
    )
    on: Literal["candidate", "change"] | None = Field(
        None, description="What a command judges: the `candidate`, which is what would land (the default), or the `change` as it was built, as a prompt does."
    )
    required: bool = Field(default=True, description="Whether a no sends the change back to build; if not, it is only reported.")
    minutes: Minutes = Field(20, description="The time limit, in minutes.")
    flaky: Flaky = Field("pass", description=FLAKY)
    memory: Size = Field(ByteSize(0), description="The memory to reserve for it, such as 4GB, as in [agent].")
    model: str = Field("", description="The model that a prompt is asked of; by default that of the review.")

    @property
    def about(self) -> Literal["candidate", "change"]:
        """What it judges."""
        return self.on or ("change" if self.prompt else "candidate")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.command.strip()) == bool(self.prompt.strip()):
            msg = "it needs a `command` or a `prompt`, and not both"
            raise ValueError(msg)
        if self.prompt and self.on == "candidate":
            msg = "a prompt judges the change: leave `on` out"
            raise ValueError(msg)
        if self.command and self.model:
            msg = "a command has no `model`"
            raise ValueError(msg)
        return self


class PoolConfig(Section):
    """The worktrees that agents and tests work in."""

    size: int = Field(5, ge=1, le=100, description="How many slots there are, and so how many agents and tests work at once.")
    base_path: str = Field("", description="Where the slots are, best on the fastest disk; by default in adw's own folder.", examples=["/mnt/fast/adw"])
    keep: tuple[str, ...] = Field((".venv", "node_modules"), description="Patterns (as in .gitignore) that survive the cleaning of a slot.")
    include: tuple[str, ...] = Field(
        (),
        description="Patterns of ignored files of your checkout that are copied into each slot, such as `.env`; `.worktreeinclude` adds to them.",
        examples=[[".env"]],
    )
    env: tuple[str, ...] = Field(
        (),
        description="Names of environment variables that agents, tests and setup get from adw's own environment, beside a small allow-list.",
        examples=[["DATABASE_URL"]],
    )
    setup: str = Field("", description="A line for sh, run in a slot when a setup file changed since it last ran there.", examples=["npm ci"])
    setup_files: tuple[str, ...] = Field((), description="The files that `setup` depends on, usually lock files.", examples=[["package-lock.json"]])
    setup_minutes: Minutes = Field(15, description="The time limit of setup, in minutes.")
    memory_gb: float = Field(
        1.0, ge=0, title="Memory (GB)", description="Memory to allow for each agent, in GB: fewer slots are lent while less than this is free for each."
    )
    max_load: float = Field(
        4.0,
        ge=0,
        title="Largest load",
        description="How many processes may want to run on each core before fewer slots are lent, of this host as a whole; 0: as many as like.",
    )
    disk_floor: float = Field(10.0, ge=0, le=100, title="Disk floor (%)", description="The share of the disk, in percent, that must stay free.")
    slot_gb: float = Field(10.0, gt=0, title="Largest slot (GB)", description="How large one slot may get while an agent or a test works in it, in GB.")


class MergeConfig(Section):
    """What becomes of a conflict before an agent is asked."""

    union: tuple[str, ...] = Field(
        (),
        description="Patterns (as in .gitattributes) of files where the lines of both sides are kept, such as changelogs; "
        "the branch's own .gitattributes (`merge=union`) count, too.",
        examples=[["CHANGELOG*"]],
    )
    regenerate: dict[str, str] = Field(
        {},
        description="Lock files and other generated files: pattern → a line for sh, run in a slot on the merged tree, which writes them anew.",
        examples=[{"uv.lock": "uv lock", "package-lock.json": "npm install --package-lock-only"}],
    )


def _url(text: str) -> str:
    if text and "://" not in text:
        msg = "it must be a URL such as ssh://user@host/path/of/repository"
        raise ValueError(msg)
    return text


def _http(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        msg = "it must be a URL such as https://github.example.com/api/v3"
        raise ValueError(msg)
    return text


def _server(text: str) -> str:
    """The address of a server, without anything that is a secret or belongs elsewhere."""
    if not text:
        return text
    try:
        parts = urlsplit(text)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment or re.search(r"\s", text):
        msg = "it must be the URL of a server, such as http://localhost:8181"
        raise ValueError(msg)
    if parts.username or parts.password:
        raise PydanticCustomError(SECRET, "it must hold no name and no password: name a Prefect Secret in tracker.secret", {})
    return text


def _no_secrets(given: dict[str, Any]) -> dict[str, Any]:
    """Mem0's configuration, which travels with tasks, and is written down: it must hold no secret."""
    for name, value in given.items():
        if isinstance(value, dict):
            _no_secrets(value)
        elif isinstance(value, str) and (re.search("(^|_)(key|password|token|secret)$", name) or re.search(r"://[^/@\s]*:[^/@\s]+@", value)):
            raise PydanticCustomError(
                SECRET,
                "{name} is a secret: leave it out, and name a Prefect Secret for the environment variable that holds it in memory.secrets",
                {"name": name},
            )
    return given


class LandingConfig(Section):
    """Where finished changes go."""

    mode: Literal["branch", "push", "pull-request", "none"] = Field(
        "branch",
        description="`branch`: onto the local branch; `push`: onto the branch of a remote; `pull-request`: each issue's onto a branch of the remote, "
        "with a pull request on GitHub; `none`: each issue's onto a local branch `adw/<id>`, and nothing lands.",
    )
    remote: str = Field("origin", description="For `push` and `pull-request`: the remote, as `git remote` names it.")

    @property
    def far(self) -> bool:
        """Whether the branch is that of a remote."""
        return self.mode in {"push", "pull-request"}

    @property
    def offers(self) -> bool:
        """Whether changes are left for people to land."""
        return self.mode in {"pull-request", "none"}


class GitHubConfig(Section):
    """GitHub, where issues come from it or pull requests go to it."""

    secret: SecretName = Field(
        "",
        description="The Prefect Secret block that holds GitHub's token; by default GITHUB_TOKEN of the environment, or what `gh` knows.",
        examples=["github-token"],
    )
    api_url: Annotated[str, AfterValidator(_http)] = Field(
        "", description="GitHub's API, if it is not found by the remote's URL.", examples=["https://github.example.com/api/v3"]
    )
    comments: bool = Field(default=True, description="Whether an issue that came from GitHub gets a comment there, which says how far it is.")
    statuses: bool = Field(default=True, description="Whether the phases are told of as statuses of the commit, where it is at GitHub.")
    labels: tuple[str, ...] = Field(("adw",), description="The labels of pull requests.")

    @property
    def secrets(self) -> dict[str, str]:
        """What is needed of secrets: environment variable → name of the Prefect Secret block."""
        return {"GITHUB_TOKEN": self.secret} if self.secret else {}


class GitLabConfig(Section):
    """GitLab, where issues come from it."""

    secret: SecretName = Field(
        "", description="The Prefect Secret block that holds GitLab's token; by default GITLAB_TOKEN of the environment.", examples=["gitlab-token"]
    )
    api_url: Annotated[str, AfterValidator(_http)] = Field(
        "",
        description="GitLab's API, where the remote's URL does not say that it is at GitLab, as https://gitlab.com/… and https://gitlab.example.com/… do.",
        examples=["https://git.example.com/api/v4"],
    )

    @property
    def secrets(self) -> dict[str, str]:
        """What is needed of secrets: environment variable → name of the Prefect Secret block."""
        return {"GITLAB_TOKEN": self.secret} if self.secret else {}


class TrackerConfig(Section):
    """Where people see the work; see docs/tracker.md of adw."""

    kind: Literal["prefect", "archon"] = Field(
        "prefect",
        description="`prefect`: in Prefect's own history, and by `adw status`; `archon`: in a project of Archon, too, a task for each issue and phase.",
    )
    url: Annotated[str, AfterValidator(_server)] = Field("", description="For `archon`: the address of its server.", examples=["http://localhost:8181"])
    secret: SecretName = Field(
        "", description="For `archon`: the Prefect Secret block that holds a bearer token, where a proxy asks for one.", examples=["archon-token"]
    )
    read: bool = Field(
        default=False,
        description="For `archon`: whether a run heeds what is changed there: a task set to done or archived, the order, a new task that is assigned to `adw`. "
        "Archon asks nobody who they are: whoever reaches it can then give agents work.",
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "archon" and not self.url:
            msg = "`archon` needs the address of its server in tracker.url, such as http://localhost:8181"
            raise ValueError(msg)
        return self

    @property
    def secrets(self) -> dict[str, str]:
        """What is needed of secrets: environment variable → name of the Prefect Secret block."""
        return {"ARCHON_TOKEN": self.secret} if self.secret and self.kind == "archon" else {}


class ClusterConfig(Section):
    """A Dask cluster to run phases on; without one they run on this host."""

    address: str = Field("", description="The address of a scheduler that runs, whose workers `adw worker` starts.", examples=["tcp://10.0.0.1:8786"])
    cluster_class: str = Field("", description="Instead of an address: a class of cluster that is made for each run.", examples=["dask.distributed.SSHCluster"])
    cluster_kwargs: dict[str, Any] = Field({}, description="The arguments of `cluster_class`; its workers must offer the resource `agent`.")
    hub: Annotated[str, AfterValidator(_url)] = Field(
        "", description="The URL at which workers on other hosts fetch from and push to this repository.", examples=["ssh://git@10.0.0.1/srv/project.git"]
    )
    results: str = Field(
        "", description="The Prefect storage block for results that all hosts reach; without one each keeps its own.", examples=["s3-bucket/adw"]
    )


class ScheduleConfig(Section):
    """What `adw serve` delivers by itself, and when; `adw deploy` registers it."""

    cron: str = Field("", description="When, as five cron fields; empty means never by itself.", examples=["0 2 * * 1-5"])
    timezone: str = Field("UTC", description="The time zone of `cron`, by its IANA name.", examples=["Europe/Berlin"])
    issues: tuple[str, ...] = Field(
        ("issues",),
        description="Which issues: files, folders and patterns such as `issues/**/*.md`, relative to the repository, read when a run begins; "
        "by default none where `label` is set.",
    )
    label: str = Field(
        "",
        description="The open issues of the repository's remote, at GitHub or GitLab, that have this label: those by people who may write to it, "
        "and those that such people have given the label; see docs/sources.md of adw.",
        examples=["adw"],
    )
    overlap: Literal["wait", "skip"] = Field(
        "wait", description="What becomes of a run while another one of this repository is at work: it waits, or is skipped."
    )

    @model_validator(mode="before")
    @classmethod
    def _from_one_place(cls, given: Any) -> Any:
        """A folder `issues` is not looked for where issues come by their label, unless it is named."""
        return {"issues": (), **given} if isinstance(given, dict) and given.get("label") else given


def _no_slack(text: str) -> str:
    if "hooks.slack.com" in _http(text):
        msg = "Slack's address is a secret: leave it out, and put it into the environment variable that notify.variable names, or into a Prefect Secret (notify.secret)"
        raise PydanticCustomError(SECRET, "{said}", {"said": msg})
    return text


class NotifyConfig(Section):
    """Who is told what a run comes to; see docs/notifications.md of adw."""

    on: tuple[Literal["ended", "refused", "approval"], ...] = Field(
        ("ended", "refused", "approval"),
        description="What is told: that a run has `ended`, that an issue is `refused` (or blocked), that a person's `approval` is waited for.",
    )
    format: Literal["json", "slack"] = Field("json", description="How a webhook is told: by `json` of adw's own, or as `slack` takes it.")
    url: Annotated[str, AfterValidator(_no_slack)] = Field(
        "", description="Where to post to, if that is no secret.", examples=["https://example.com/hooks/adw"]
    )
    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "ADW_WEBHOOK", description="The environment variable that holds where to post to, if that is a secret; with `secret`, it is kept there."
    )
    secret: SecretName = Field("", description="The Prefect Secret block that holds where to post to.", examples=["slack-webhook"])
    desktop: bool = Field(default=True, description="Whether a run in a terminal also tells it on the desktop (notify-send, or macOS).")

    @property
    def secrets(self) -> dict[str, str]:
        """What is needed of secrets: environment variable → name of the Prefect Secret block."""
        return {self.variable: self.secret} if self.secret else {}


class MemoryConfig(Section):
    """What is remembered of this repository from one run to the next, by Mem0; see docs/memory.md of adw."""

    mode: Literal["lexical", "semantic", "platform", "off"] = Field(
        "lexical",
        description="`lexical`: found by words, in a file in adw's own folder, without network, model or key; `semantic`: by meaning, wherever `semantic` says; "
        "`platform`: by Mem0's own service; `off`: nothing is remembered.",
    )
    k: int = Field(5, ge=1, le=50, description="How many memories a prompt carries at most.")
    tokens: int = Field(1000, ge=100, le=20_000, description="How many tokens they may take together, about.")
    ttl: dict[Kind, Annotated[int, Field(gt=0)]] = Field(
        {},
        description="How long memories of a kind last, in seconds, where that is to be other than this; what a person adds lasts until it is forgotten.",
        examples=[dict(LASTS)],
    )
    semantic: Annotated[dict[str, Any], AfterValidator(_no_secrets)] = Field(
        {},
        description="For `semantic`: the configuration of Mem0 (`Memory.from_config`), as it is. Keys do not belong here, but into `secrets`.",
        examples=[{"embedder": {"provider": "ollama", "config": {"model": "nomic-embed-text", "embedding_dims": 768}}}],
    )
    secrets: dict[str, BlockName] = Field(
        {},
        description="Environment variable that Mem0 looks for → name of the Prefect Secret block that holds its value; `platform` needs MEM0_API_KEY.",
        examples=[{"MEM0_API_KEY": "mem0-api-key"}],
    )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.mode == "semantic" and not self.semantic:
            msg = "`semantic` needs Mem0's own configuration in memory.semantic: docs/memory.md shows some"
            raise ValueError(msg)
        if self.mode == "platform" and "MEM0_API_KEY" not in self.secrets:
            msg = '`platform` needs a key: name a Prefect Secret for it, as in secrets = { MEM0_API_KEY = "mem0-api-key" }'
            raise ValueError(msg)
        return self

    def lasts(self, kind: Kind) -> int:
        """How long memories of a kind last, in seconds."""
        return self.ttl.get(kind, LASTS[kind])


class Config(Section):
    """The whole file."""

    branch: str = Field("", description="The branch that changes land on; by default the one that is checked out.")
    tries: int = Field(3, ge=1, le=20, description="How often an issue is built at most in one run before it is refused.")
    docs: tuple[str, ...] = Field(
        ("docs", "README*", "CHANGELOG*"), description="Path patterns that the document phase may touch, and that tests do not depend on."
    )
    approve: tuple[Gate, ...] = Field(
        (),
        description="What a person is asked about, in the terminal or the Prefect UI: each `plan` before it is built, each change before its `landing`.",
        examples=[["plan", "landing"]],
    )
    stack: bool = Field(
        default=False, description="Whether an issue that depends on others is begun on top of their changes before these have landed; else it waits for them."
    )
    partition: bool = Field(
        default=False, description="Whether issues whose plans touch the same files are built one behind the other instead of side by side."
    )
    squash_train: bool = Field(
        default=False,
        description="Whether only the last of the changes that land together is tested: fewer tests, but only the last commit is known to pass them.",
    )
    landing: LandingConfig = LandingConfig()
    github: GitHubConfig = GitHubConfig()
    gitlab: GitLabConfig = GitLabConfig()
    build: BuildConfig = BuildConfig()
    test: ChecksConfig = ChecksConfig()
    review: ReviewConfig = ReviewConfig()
    skills: SkillsConfig = SkillsConfig()
    checks: dict[Annotated[str, AfterValidator(_name)], Check] = Field(
        {},
        description="Commands and prompts that judge beside test and review, by name, each in a table `[checks.NAME]`; see docs/checks.md of adw.",
        examples=[{"lint": {"command": "ruff check .", "minutes": 5.0}, "security": {"prompt": "Is all input escaped?", "required": False}}],
    )
    merge: MergeConfig = MergeConfig()
    memory: MemoryConfig = MemoryConfig()
    tracker: TrackerConfig = TrackerConfig()
    agent: AgentConfig = AgentConfig()
    budget: BudgetConfig = BudgetConfig()
    prices: dict[str, Price] = Field(
        {},
        description="What a million tokens of a model cost, in US dollars, by the beginning of its name; adds to the list prices that adw knows.",
        examples=[{"my-model": {"input": 3.0, "output": 15.0, "cache_read": 0.3, "cache_write": 3.75}}],
    )
    gateway: GatewayConfig = GatewayConfig()
    breaker: BreakerConfig = BreakerConfig()
    sandbox: SandboxConfig = SandboxConfig()
    pool: PoolConfig = PoolConfig()
    cluster: ClusterConfig = ClusterConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    notify: NotifyConfig = NotifyConfig()

    @property
    def asks_to_land(self) -> bool:
        """Whether a person is asked about each change before it leaves adw's hands; not where it is left for a person anyway."""
        return "landing" in self.approve and self.landing.mode != "none"

    def reserved(self, phase: str) -> int:
        """The bytes to reserve for a phase, or a piece of one; 0 if nobody asks for it."""
        phase = phase_of(phase)
        if phase in self.checks:
            check = self.checks[phase]
            return check.memory or (self.agent.at(phase).memory if check.prompt else 0)
        return self.agent.at(phase).memory if phase in AGENT_PHASES else self.test.memory if phase == "test" else 0

    @property
    def secrets(self) -> dict[str, str]:
        """The Prefect Secret blocks that are named anywhere, each with the environment variable that it stands for."""
        sections = (self.agent, self.github, self.gitlab, self.memory, self.notify, self.tracker)
        return {block: variable for section in sections for variable, block in section.secrets.items()}


def parse(text: str, where: str) -> Config:
    """Read the text of an `adw.toml`; Misuse names each wrong key, the file, and the nearest known key."""
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as no:
        msg = f"{where} is no TOML: {no}"
        raise Misuse(msg) from no
    except ValidationError as no:
        raise Misuse("\n".join(explain(error, where) for error in no.errors())) from no


def explain(error: Any, where: str) -> str:
    """One line for one of pydantic's errors."""
    *tables, key = [str(part) for part in error["loc"] if part != "[key]"]  # as pydantic marks a wrong name in a dictionary
    name = ".".join((*tables, key))
    if error["type"] == SECRET:
        return f"{where}: `{name}`: {error['msg']}"
    if error["type"] != "extra_forbidden":
        return f"{where}: `{name}`: {error['msg'].lower()} (it is {error['input']!r})"
    known = list(fields_of(tables))
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    return f"{where}: unknown key `{name}`: {hint}"


def fields_of(tables: list[str]) -> dict[str, FieldInfo]:
    """The settings of a table, by its path in the file."""
    model: type[BaseModel] = Config
    names = iter(tables)
    for table in names:
        inner: Any = model.model_fields[table].annotation
        if get_origin(inner) is dict:  # of tables, each by a name
            inner, _ = get_args(inner)[1], next(names, "")
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return {}
        model = inner
    return model.model_fields


def override(config: Config, **given: Any) -> Config:
    """The configuration with some settings replaced, `table__key=value`; None leaves a setting as it is."""
    data = config.model_dump()
    for name, value in given.items():
        if value is not None:
            *tables, key = name.split("__")
            table = data
            for part in tables:
                table = table[part]
            table[key] = value
    try:
        return Config.model_validate(data)
    except ValidationError as no:
        raise Misuse("\n".join(explain(error, "command line") for error in no.errors())) from no


def schema() -> dict[str, Any]:
    """The JSON schema of the file, for editors."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **Config.model_json_schema()}

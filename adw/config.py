"""`adw.toml`: what a repository says about its tests, its agent and its pool.

Every setting has a default but the test command, so that a repository without the file can be run with flags alone.
"""

import tomllib
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from adw.errors import Misuse

FILE = "adw.toml"
SCHEMA_FILE = ".adw.schema.json"

Minutes = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of `adw.toml`; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentConfig(Section):
    """Who plans, builds, reviews and documents."""

    name: str = Field("command", description="The kind of agent: `command` (any command line) or `scripted` (edits from a file, for demos and tests).")
    command: str = Field(
        "",
        description="For `command`: a line for sh, run in the slot. `{prompt_file}` becomes the path of the prompt; without it the prompt "
        "comes on standard input. Exit status 0 means done (in review: approved); what it prints is the log (in plan: the plan).",
        examples=["my-agent --print < {prompt_file}"],
    )
    script: str = Field("", description="For `scripted`: the path of its script, relative to the repository.")
    minutes: Minutes = Field(30, description="The time limit of one phase, in minutes.")
    secrets: dict[str, str] = Field(
        {},
        description="Environment variable of the agent → name of the Prefect Secret block that holds its value.",
        examples=[{"ANTHROPIC_API_KEY": "anthropic-api-key"}],
    )
    requests: int = Field(
        0, ge=0, description="How many agents may use the model at once, over all runs of this server; 0 means as many as the pool has slots."
    )


class ChecksConfig(Section):
    """The test that each candidate must pass before it lands."""

    command: str = Field("", description="A line for sh; exit status 0 means passed.", examples=["python -m pytest -q"])
    minutes: Minutes = Field(20, description="The time limit of one test run, in minutes.")


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
        1.0, ge=0, title="Memory (GB)", description="Memory to allow for each agent, in GB: fewer slots are lent where less than this is free for each."
    )
    disk_floor: float = Field(10.0, ge=0, le=100, title="Disk floor (%)", description="The share of the disk, in percent, that must stay free.")
    slot_gb: float = Field(10.0, gt=0, title="Largest slot (GB)", description="How large one slot may get while an agent or a test works in it, in GB.")


def _url(text: str) -> str:
    if text and "://" not in text:
        msg = "it must be a URL such as ssh://user@host/path/of/repository"
        raise ValueError(msg)
    return text


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
        ("issues",), description="Which issues: files, folders and patterns such as `issues/**/*.md`, relative to the repository; read when a run begins."
    )
    overlap: Literal["wait", "skip"] = Field(
        "wait", description="What becomes of a run while another one of this repository is at work: it waits, or is skipped."
    )


class Config(Section):
    """The whole file."""

    branch: str = Field("", description="The branch that changes land on; by default the one that is checked out.")
    tries: int = Field(3, ge=1, le=20, description="How often an issue is built at most in one run before it is refused.")
    docs: tuple[str, ...] = Field(
        ("docs", "README*", "CHANGELOG*"), description="Path patterns that the document phase may touch, and that tests do not depend on."
    )
    approve: bool = Field(default=False, description="Whether a person is asked in the Prefect UI before a change lands.")
    test: ChecksConfig = ChecksConfig()
    agent: AgentConfig = AgentConfig()
    pool: PoolConfig = PoolConfig()
    cluster: ClusterConfig = ClusterConfig()
    schedule: ScheduleConfig = ScheduleConfig()


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
    *tables, key = [str(part) for part in error["loc"]]
    name = ".".join((*tables, key))
    if error["type"] != "extra_forbidden":
        return f"{where}: `{name}`: {error['msg'].lower()} (it is {error['input']!r})"
    known = list(fields_of(tables))
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    hint = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known)}"
    return f"{where}: unknown key `{name}`: {hint}"


def fields_of(tables: list[str]) -> dict[str, FieldInfo]:
    """The settings of a table, by its path in the file."""
    model: type[BaseModel] = Config
    for table in tables:
        inner = model.model_fields[table].annotation
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

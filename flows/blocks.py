"""What flows read from Prefect: a repository's worktree pool, agent, cluster and tracker, the secrets, the tag limit.

They are written from `adw.toml`, each only when its part of the file changed, so that what a person edits in the UI stays.
"""

import os
from collections.abc import Mapping
from typing import cast

from prefect.blocks.core import Block
from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from pydantic import ConfigDict, Field, HttpUrl

from adw import server
from adw.config import AgentConfig, ClusterConfig, Config, PoolConfig, Section, TrackerConfig
from adw.mirror import Hub
from adw.model import digest
from tasks.phases import LLM

WRITTEN_FROM = (
    "The digest of the part of adw.toml that these settings were last written from. Leave it as it is: what you edit here stays until that part changes."
)


EDITABLE = ConfigDict(extra="ignore", frozen=False)  # as Prefect wants its Blocks; the fields are those of adw.toml


class WorktreePool(PoolConfig, Block):
    """The slots that agents and tests of one repository work in.

    What you edit here counts from the next run on, until `[pool]` in the repository's adw.toml changes.
    """

    _block_type_name = "adw worktree pool"
    _block_type_slug = "adw-worktree-pool"
    _description = "How many worktrees a repository's agents and tests have, where they are, and what is kept in them."
    _code_example = '```python\nfrom flows.blocks import WorktreePool\n\nWorktreePool.load("my-repository-1a2b3c4d").size\n```'

    model_config = EDITABLE
    written_from: str = Field("", title="Written from", description=WRITTEN_FROM)


class CodingAgent(AgentConfig, Block):
    """Who plans, builds, reviews and documents in one repository. It names its secrets; they are Blocks of their own.

    What you edit here counts from the next run on, until `[agent]` in the repository's adw.toml changes.
    """

    _block_type_name = "adw coding agent"
    _block_type_slug = "adw-coding-agent"
    _description = "The agent that works on a repository's issues, its time limit, and the names of its secrets."
    _code_example = '```python\nfrom flows.blocks import CodingAgent\n\nCodingAgent.load("my-repository-1a2b3c4d").command\n```'

    model_config = EDITABLE
    written_from: str = Field("", title="Written from", description=WRITTEN_FROM)


class DaskCluster(ClusterConfig, Block):
    """The Dask cluster that one repository's phases run on; without an address or a class they run on this host.

    What you edit here counts from the next run on, until `[cluster]` in the repository's adw.toml changes.
    """

    _block_type_name = "adw cluster"
    _block_type_slug = "adw-cluster"
    _description = "The Dask scheduler whose workers do the work, or how a cluster is made for each run, and where its hosts reach the repository."
    _code_example = '```python\nfrom flows.blocks import DaskCluster\n\nDaskCluster.load("my-repository-1a2b3c4d").address\n```'

    model_config = EDITABLE
    written_from: str = Field("", title="Written from", description=WRITTEN_FROM)


class TaskTracker(TrackerConfig, Block):
    """Where people see the work on one repository. It names its secret, which is a Block of its own.

    What you edit here counts from the next run on, until `[tracker]` in the repository's adw.toml changes.
    """

    _block_type_name = "adw tracker"
    _block_type_slug = "adw-tracker"
    _description = "Whether a repository's issues and phases are tasks in Archon, too, where that is, and whether a run heeds what people change there."
    _code_example = '```python\nfrom flows.blocks import TaskTracker\n\nTaskTracker.load("my-repository-1a2b3c4d").url\n```'

    model_config = EDITABLE
    written_from: str = Field("", title="Written from", description=WRITTEN_FROM)


Kind = type[WorktreePool | CodingAgent | DaskCluster | TaskTracker]
KINDS: dict[str, Kind] = {"pool": WorktreePool, "agent": CodingAgent, "cluster": DaskCluster, "tracker": TaskTracker}  # by their tables


def write(hub: Hub, config: Config, agents: int = 0) -> list[str]:
    """Write what changed since the last time; returns a line for each thing that was written.

    `agents` is how many one run wants at once, so that the tag limit does not hold it back.
    """
    said = [_block(kind, hub, getattr(config, table)) for table, kind in KINDS.items()]
    said += [
        *_secrets(config.secrets),
        limit(config.agent.requests, 3 * max(config.pool.size, agents)),  # twice as many may be ready, and ask nothing before they have a slot
    ]
    return [line for line in said if line]


def read(hub: Hub, config: Config) -> Config:
    """The configuration, with those of its tables that are Blocks as the Blocks have them."""
    found: dict[str, Section] = {}
    for table, kind in KINDS.items():
        section = type(getattr(config, table))
        block = cast("Block", kind.load(hub.place.slug, _sync=True))  # type: ignore[call-arg]
        found[table] = section(**block.model_dump(include=set(section.model_fields)))
    return config.model_copy(update=found)


def _block(kind: Kind, hub: Hub, settings: Section) -> str:
    wanted = digest(kind._calculate_schema_checksum(), settings.model_dump_json())  # noqa: SLF001 - also when a new adw has other settings
    _show(kind)
    try:
        if kind.load(hub.place.slug, _sync=True).written_from == wanted:  # type: ignore[call-arg, union-attr]
            return ""
    except ValueError:
        pass  # there is none yet
    kind(**settings.model_dump(), written_from=wanted).save(hub.place.slug, overwrite=True, _sync=True)  # type: ignore[call-arg]
    return f"wrote the Block {kind.get_block_type_slug()}/{hub.place.slug}"


def _show(kind: type[Block]) -> None:
    """Give a kind of Block its picture, which adw's own server serves; on another server it has none."""
    api, slug = get_current_settings().api.url, kind.get_block_type_slug()
    if not api or api != server.own_api():
        return
    kind._logo_url = HttpUrl(f"{api.removesuffix('/api')}/adw/{slug}.svg")  # noqa: SLF001 - Prefect's own name for it
    with get_client(sync_client=True) as client:
        try:
            known = client.read_block_type_by_slug(slug).logo_url
        except ObjectNotFound:
            known = None
    if known != kind._logo_url:  # noqa: SLF001 - new, or the server has another port now
        kind.register_type_and_schema(_sync=True)  # type: ignore[call-arg]


def _secrets(wanted: Mapping[str, str]) -> list[str]:
    """Keep those secrets as Blocks, by their names, that are in the environment: the configuration asks for it by naming both."""
    said = []
    for name, variable in wanted.items():
        value = os.environ.get(variable)
        if not value:
            continue
        try:
            if Secret.load(name, _sync=True).get() == value:  # type: ignore[call-arg, union-attr]
                continue
        except ValueError:
            pass
        Secret(value=value).save(name, overwrite=True, _sync=True)  # type: ignore[call-arg]
        said.append(f"kept {variable} as the Prefect Secret {name}")
    return said


def limit(asked: int, slots: int) -> str:
    """Make the tag limit as high as is asked for, or high enough for so many slots and all that it was made for before."""
    with get_client(sync_client=True) as client:
        try:
            now = client.read_concurrency_limit_by_tag(LLM).concurrency_limit
        except ObjectNotFound:
            now = 0
        wanted = asked or max(now, slots)
        if wanted == now:
            return ""
        client.create_concurrency_limit(tag=LLM, concurrency_limit=wanted)
        return f"set the limit of the tag {LLM} to {wanted}"

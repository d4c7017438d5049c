"""Write a repository's Blocks and the tag limit to Prefect; doing it twice is doing it once."""

import asyncio
import os
from typing import TypeVar

from prefect.blocks.system import Secret
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from adw.config import AgentConfig, ClusterConfig, Config, PoolConfig
from adw.mirror import Hub
from adw.model import digest
from flows.blocks import CodingAgent, DaskCluster, WorktreePool
from tasks.phases import LLM

Kind = TypeVar("Kind", WorktreePool, CodingAgent, DaskCluster)


def register(hub: Hub, config: Config, agents: int = 0) -> list[str]:
    """Write what changed since the last time; returns a line for each thing that was written.

    A Block is written only when its part of adw.toml changed, so that what a person edits in the UI stays. `agents` is how many
    one run wants at once, so that the tag limit does not hold it back.
    """
    said = [_block(WorktreePool, hub, config.pool), _block(CodingAgent, hub, config.agent), _block(DaskCluster, hub, config.cluster), *_secrets(config.agent)]
    said.append(asyncio.run(_limit(config.agent.requests, max(config.pool.size, agents))))
    return [line for line in said if line]


def _block(kind: type[Kind], hub: Hub, settings: PoolConfig | AgentConfig | ClusterConfig) -> str:
    wanted = digest(settings.model_dump_json())
    try:
        if kind.load(hub.place.slug, _sync=True).written_from == wanted:  # type: ignore[call-arg, union-attr]
            return ""
    except ValueError:
        pass  # there is none yet
    kind(settings=settings, written_from=wanted).save(hub.place.slug, overwrite=True, _sync=True)  # type: ignore[call-arg]
    return f"wrote the Block {kind._block_type_slug}/{hub.place.slug}"  # noqa: SLF001 - Prefect's own name for it


def _secrets(agent: AgentConfig) -> list[str]:
    """Keep those secrets as Blocks that are in the environment: the configuration asks for it by naming both."""
    said = []
    for variable, name in agent.secrets.items():
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


async def _limit(asked: int, slots: int) -> str:
    """Make the tag limit as high as is asked for, or high enough for this repository's pool and all others'."""
    async with get_client() as client:
        try:
            now = (await client.read_concurrency_limit_by_tag(LLM)).concurrency_limit
        except ObjectNotFound:
            now = 0
        wanted = asked or max(now, slots)
        if wanted == now:
            return ""
        await client.create_concurrency_limit(tag=LLM, concurrency_limit=wanted)
        return f"set the limit of the tag {LLM} to {wanted}"

"""The Blocks that flows read: a repository's worktree pool and its agent. `deployments.register` writes them from `adw.toml`."""

from prefect.blocks.core import Block
from pydantic import Field

from adw.config import AgentConfig, ClusterConfig, PoolConfig


class WorktreePool(Block):
    """The slots that agents and tests of one repository work in."""

    _block_type_name = "adw worktree pool"
    _block_type_slug = "adw-worktree-pool"
    _description = "How many worktrees a repository's agents and tests have, where, and what is kept in them."

    settings: PoolConfig = Field(default_factory=PoolConfig)
    written_from: str = Field("", title="Written from", description="The digest of the adw.toml that these settings were last written from; leave it as it is.")


class CodingAgent(Block):
    """Who plans, builds, reviews and documents in one repository. It names its secrets; they are Blocks of their own."""

    _block_type_name = "adw coding agent"
    _block_type_slug = "adw-coding-agent"
    _description = "The agent that works on a repository's issues, its time limit, and the names of its secrets."

    settings: AgentConfig = Field(default_factory=AgentConfig)
    written_from: str = Field("", title="Written from", description="The digest of the adw.toml that these settings were last written from; leave it as it is.")


class DaskCluster(Block):
    """The Dask cluster that one repository's phases run on; without an address or a class they run on this host."""

    _block_type_name = "adw cluster"
    _block_type_slug = "adw-cluster"
    _description = "The Dask scheduler whose workers do the work, or how a cluster is made for each run, and where its hosts reach the repository."

    settings: ClusterConfig = Field(default_factory=ClusterConfig)
    written_from: str = Field("", title="Written from", description="The digest of the adw.toml that these settings were last written from; leave it as it is.")

"""What is to be delivered, as a parameter of flows: from a command line, a schedule, or another program."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from prefect.runtime import flow_run
from pydantic import BaseModel, ConfigDict, Field

from adw.config import Config, Gate, override
from adw.mirror import Hub
from adw.model import Issue
from flows import blocks


class Delivery(BaseModel):
    """What to deliver. Settings that are left out are those of the repository's Blocks and its adw.toml."""

    model_config = ConfigDict(extra="forbid")

    repository: str = Field(description="The path of the git repository.")
    issues: list[Issue] = Field(default_factory=list, description="What is wanted, in any order.")
    sources: list[str] = Field(
        default_factory=list, description="Issues in files: names, folders and patterns, relative to the repository, read when the run begins."
    )
    label: str = Field(
        "", description="Issues at the forge of the repository's remote: those that are open, have this label, and are to be trusted, when the run begins."
    )
    branch: str = Field("", description="The branch to land on; by default the one that is checked out.")
    agents: int | None = Field(None, ge=1, le=100, description="How many agents and tests work at once.")
    agent: str | None = Field(None, description="The kind of agent.")
    model: str | None = Field(None, description="The model, as the agent's CLI names it.")
    agent_command: str | None = Field(None, description="The command line of the agent `command`.")
    test_command: str | None = Field(None, description="The command that must pass before a change lands.")
    tries: int | None = Field(None, ge=1, le=20, description="How often an issue is built at most.")
    approve: list[Gate] | None = Field(None, description="What a person is asked about: a `plan` before it is built, a change before its `landing`.")
    land: Literal["branch", "push", "pull-request", "none"] | None = Field(
        None, description="Where finished changes go; `none`: each onto a branch of its own."
    )
    sandbox: str | None = Field(None, description="Whether agents and tests run in a sandbox: auto, required or off.")
    allow_red_base: bool = Field(default=False, description="Go on even if the tests fail on the branch as it is.")
    only: Literal["", "plan"] = Field("", description="The phase to stop behind; by default the changes land.")
    dry_run: bool = Field(default=False, description="Only say what would be delivered: no agent is asked, and nothing is tested.")
    scheduler: str | None = Field(None, description="The address of a Dask scheduler whose workers do the work.")
    run: str = Field("", description="The name of the run's folder; by default a new one.")

    @property
    def title(self) -> str:
        """What a run of it is called."""
        number = len(self.issues)
        what = f"{number} {'issue' if number == 1 else 'issues'}" if number else "what is open"
        return f"{Path(self.repository).name}: {what} {self.run}".strip()

    def overrides(self) -> dict[str, Any]:
        """The settings that this delivery replaces."""
        return {
            "pool__size": self.agents,
            "agent__name": self.agent,
            "agent__model": self.model,
            "agent__command": self.agent_command,
            "test__command": self.test_command,
            "test__groups": {} if self.test_command else None,  # the command is then what is run
            "tries": self.tries,
            "approve": self.approve,
            "landing__mode": self.land,
            "sandbox__mode": self.sandbox,
            "cluster__address": self.scheduler,
        }


def configured(hub: Hub, delivery: Delivery) -> Config:
    """The configuration of a delivery: adw.toml, then the repository's Blocks, then what the delivery itself says."""
    return override(blocks.read(hub, hub.config()), **delivery.overrides())


def new_name(planned: datetime, flow_run_id: UUID | str) -> str:
    """What a run is called that was given no name: the same when Prefect runs the same flow run once more.

    The end of its id is random; ids that Prefect's scheduler makes together begin alike.
    """
    return f"{planned:%Y%m%d-%H%M%S}-{str(flow_run_id)[-8:]}"


def run_name() -> str:
    """What a run is called in the Prefect UI."""
    return Delivery.model_validate(flow_run.parameters["delivery"]).title

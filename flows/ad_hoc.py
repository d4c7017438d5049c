"""The form of the Prefect UI: one issue, or files of them, for any repository that is registered on this host."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal

from prefect import State, flow
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Cancelled, Failed
from pydantic import BaseModel, ConfigDict, Field

from adw.config import Gate
from adw.errors import AdwError, Misuse
from adw.home import registered
from adw.issues import markdown
from adw.mirror import Hub, find_hub
from flows.deliver import delivered
from flows.delivery import Delivery
from flows.labels import label
from flows.threads import threads


def choices(schema: dict[str, Any]) -> None:
    """Offer the repositories that are registered, in the form and to the server that checks it."""
    if known := [str(path) for path in registered()]:
        schema["enum"] = known


class Order(BaseModel):
    """What you want done, and where."""

    model_config = ConfigDict(extra="forbid")

    repository: str = Field(title="Repository", description="One of those registered by `adw deploy`.", json_schema_extra=choices)
    issue: str = Field(
        "",
        title="Issue",
        description="What you want, as Markdown: the first line is the title. Or leave it empty, and name files below.",
        examples=["# Say goodbye\n\n`bye(name)` in greet.py gives `Bye Ada`."],
    )
    files: str = Field(
        "", title="Files", description="Issues in files of the repository: a file, a folder, or a pattern such as issues/*.md.", examples=["issues"]
    )
    branch: str = Field("", title="Branch", description="The branch to land on; empty: the one that is checked out.")
    agents: Literal["as configured", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] = Field(
        "as configured", title="Agents", description="How many agents and tests work at once; by default as the repository's worktree pool says."
    )
    agent: Literal["as configured", "claude", "codex", "opencode", "gemini", "mini-swe-agent", "aider", "command", "scripted"] = Field(
        "as configured", title="Agent", description="The kind of agent."
    )
    approve_plan: bool = Field(
        default=False, title="Ask before building", description="Pause, and show each plan here for approval or edit before it is built."
    )
    approve_landing: bool = Field(default=False, title="Ask before landing", description="Pause, and ask here before a change lands.")
    landing: Literal["as configured", "branch", "push", "pull-request", "none"] = Field(
        "as configured", title="Landing", description="Where finished changes go; with `none` each is left on a branch adw/ID."
    )
    dry_run: bool = Field(default=False, title="Dry run", description="Only say what would be delivered: no agent is asked.")

    def delivery(self) -> Delivery:
        """The same for the flow that does it; Misuse if it does not say what is wanted."""
        if bool(self.issue.strip()) == bool(self.files.strip()):
            msg = "say what you want in Issue, or name files in Files" + (": not both" if self.issue.strip() else "")
            raise Misuse(msg)
        root = find_hub(Path(self.repository), self.branch).root
        if self.files and not any(file.exists() for file in markdown.matching(self.files, root)):
            msg = f"Files: there is no issue at {self.files!r} in {root}"
            raise Misuse(msg)
        return Delivery(
            repository=self.repository,
            issues=[markdown.parse_pasted(self.issue)] if self.issue.strip() else [],
            sources=[self.files] if self.files else [],
            branch=self.branch,
            agents=None if self.agents == "as configured" else self.agents,
            agent=None if self.agent == "as configured" else self.agent,
            approve=self.gates() or None,
            land=None if self.landing == "as configured" else self.landing,
            dry_run=self.dry_run,
        )

    def gates(self) -> list[Gate]:
        """What a person wants to be asked about."""
        asked: dict[Gate, bool] = {"plan": self.approve_plan, "landing": self.approve_landing}
        return [gate for gate, wanted in asked.items() if wanted]


def run_name() -> str:
    """What a run is called in the Prefect UI."""
    order = Order.model_validate(flow_run.parameters["order"])
    first = next((line.strip("# ") for line in order.issue.splitlines() if line.strip("# ")), order.files)
    return f"{Path(order.repository).name}: {first[:60]}"


@flow(
    name="ad hoc",
    flow_run_name=run_name,
    task_runner=threads(),
    description="Deliver one issue, or files of them, for a repository of your choice.",
)
def ad_hoc(order: Order) -> State[Any]:
    """Deliver what a form asks for, when no other run of the repository is at work."""
    with ExitStack() as stack:
        try:
            delivery = order.delivery()
            hub = find_hub(Path(delivery.repository), delivery.branch)
            label(hub.place.slug)
            stack.enter_context(alone(hub))
        except TimeoutError:
            return Cancelled(message=f"another run of {order.repository} is at work, and schedule.overlap in its adw.toml says to skip this one")
        except AdwError as no:
            return Failed(message=str(no), data=no)
        return delivered(delivery)


@contextmanager
def alone(hub: Hub) -> Iterator[None]:
    """Take the place of one run of the repository's own deployment, when it is free; TimeoutError if it is not and we are not to wait."""
    with get_client(sync_client=True) as client:
        try:
            limit = client.read_deployment_by_name(f"deliver/{hub.place.slug}").global_concurrency_limit
        except ObjectNotFound:
            limit = None
    if limit is None:
        yield  # it is not registered on this server
        return
    with concurrency(limit.name, occupy=1, timeout_seconds=1 if hub.config().schedule.overlap == "skip" else None, strict=True):
        yield

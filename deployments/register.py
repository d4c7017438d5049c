"""Registers a repository with Prefect, so that its issues are delivered on a schedule and from the UI; doing it twice is doing it once.

A deployment is written only when what it is made of changed (its version is a digest of that), so that a schedule that was
paused in the UI stays paused.
"""

import asyncio
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, WorkerStatus
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.types.entrypoint import EntrypointType
from prefect.utilities.urls import url_for
from prefect.workers.process import ProcessWorker
from pydantic import ValidationError

from adw import lock
from adw.config import FILE, Config
from adw.errors import AdwError, Misuse
from adw.home import Place, home, registered
from adw.mirror import Hub, find_hub
from adw.model import digest
from adw.server import WORK_POOL
from flows import blocks
from flows.ad_hoc import ad_hoc
from flows.deliver import deliver
from flows.delivery import Delivery
from tasks.phases import LLM

AD_HOC = "Deliver an issue"
NIGHTLY = "0 2 * * *"
OVERLAPS = {"wait": ConcurrencyLimitStrategy.ENQUEUE, "skip": ConcurrencyLimitStrategy.CANCEL_NEW}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a repository's own deployment is made of: as a registration and `prefect.yaml` take it."""

    name: str
    description: str
    delivery: dict[str, Any]
    cron: str
    timezone: str
    active: bool  # a repository without a schedule has one that is switched off, to be seen and switched on in the UI
    overlap: str
    tags: list[str]

    @property
    def version(self) -> str:
        """A digest of all of it."""
        return digest(asdict(self))[:12]


def wanted(hub: Hub, config: Config, branch: str) -> Wanted:
    """The deployment that a repository asks for; Misuse if its schedule is none."""
    plan = config.schedule
    return Wanted(
        name=hub.place.slug,
        description=f"Deliver the issues of {hub.root}"
        + (
            f": {', '.join([*plan.issues, *([f'label {plan.label}'] if plan.label else [])])}, at `{plan.cron}` ({plan.timezone})."
            if plan.cron
            else ", when asked to."
        ),
        delivery={"repository": str(hub.root), "branch": branch, "sources": list(plan.issues), **({"label": plan.label} if plan.label else {})},
        cron=checked(plan.cron or NIGHTLY, plan.timezone),
        timezone=plan.timezone,
        active=bool(plan.cron),
        overlap=OVERLAPS[plan.overlap].value,
        tags=["adw", f"repository:{hub.place.slug}"],
    )


def checked(cron: str, timezone: str) -> str:
    """The cron expression, if Prefect takes it; else Misuse."""
    try:
        return str(CronSchedule(cron=cron, timezone=timezone).cron)
    except ValidationError as no:
        what = "timezone" if no.errors()[0]["loc"][:1] == ("timezone",) else "cron"
        hint = "name it as in Europe/Berlin" if what == "timezone" else "write five fields, as in `0 2 * * 1-5` (minute, hour, day, month, weekday)"
        msg = f"{FILE}: `schedule.{what}`: {(timezone if what == 'timezone' else cron)!r} is not understood: {hint}"
        raise Misuse(msg) from no


def register(hub: Hub, branch: str = "") -> list[str]:
    """Register a repository; returns a line for each thing that was written."""
    config = hub.config()
    plan = wanted(hub, config, branch)
    with lock.held(home() / "registering"):
        said = blocks.write(hub, config)
        hub.place.register(hub.root, branch)
        deployment = RunnerDeployment.from_flow(
            deliver,
            plan.name,
            description=plan.description,
            parameters={"delivery": plan.delivery},
            schedules=[DeploymentScheduleCreate(schedule=CronSchedule(cron=plan.cron, timezone=plan.timezone), active=plan.active)],
            concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=OVERLAPS[config.schedule.overlap]),
            tags=plan.tags,
            version=plan.version,
            work_pool_name=WORK_POOL,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        return [*said, *asyncio.run(_write(deployment, _form()))]


def _form() -> RunnerDeployment:
    """The deployment whose form offers all repositories."""
    form = RunnerDeployment.from_flow(ad_hoc, AD_HOC, tags=["adw"], work_pool_name=WORK_POOL, entrypoint_type=EntrypointType.MODULE_PATH)
    form.version = digest(form._parameter_openapi_schema.model_dump_json())[:12]  # noqa: SLF001 - it names the repositories
    return form


async def _write(*deployments: RunnerDeployment) -> list[str]:
    said = []
    async with get_client() as client:
        await _pool(client)
        for deployment in deployments:
            name = f"{deployment.flow_name}/{deployment.name}"
            with suppress(ObjectNotFound):
                if (await client.read_deployment_by_name(name)).version == deployment.version:
                    continue
            try:
                await deployment.aapply()
            except RuntimeError as no:  # Prefect's own kind for this
                msg = f"Prefect does not take the deployment {name}: {no}"
                raise AdwError(msg) from no
            said.append(f"wrote the deployment {name}")
    return said


async def _pool(client: PrefectClient) -> None:
    """Make the work pool if there is none."""
    try:
        await client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template()
        with suppress(ObjectAlreadyExists):
            await client.create_work_pool(
                WorkPoolCreate(name=WORK_POOL, type="process", base_job_template=template, description="Where `adw serve` runs deliveries.")
            )


def remove(place: Place) -> list[str]:
    """Take everything of a repository away from Prefect; returns a line for each thing that went. Its history stays."""
    with lock.held(home() / "registering"):
        place.unregister()
        return asyncio.run(_remove(place.slug))


async def _remove(slug: str) -> list[str]:
    said = []
    async with get_client() as client:
        for name in [f"deliver/{slug}", *([] if registered() else [f"ad hoc/{AD_HOC}"])]:
            with suppress(ObjectNotFound):
                await client.delete_deployment((await client.read_deployment_by_name(name)).id)
                said.append(f"removed the deployment {name}")
        for kind in blocks.KINDS.values():
            with suppress(ObjectNotFound):
                document = await client.read_block_document_by_name(slug, kind.get_block_type_slug())
                await client.delete_block_document(document.id)
                said.append(f"removed the Block {kind.get_block_type_slug()}/{slug}")
        if registered():
            return said + await _write(_form())
        with suppress(ObjectNotFound):
            await client.delete_concurrency_limit_by_tag(LLM)
            said.append(f"removed the limit of the tag {LLM}")
    return said


def hand_over(slug: str, delivery: Delivery) -> tuple[str, str]:
    """Start a run of a repository's own deployment; returns its id, and its address in the UI. Misuse if nobody would take it up."""
    return asyncio.run(_hand_over(slug, delivery))


async def _hand_over(slug: str, delivery: Delivery) -> tuple[str, str]:
    async with get_client() as client:
        try:
            deployment = await client.read_deployment_by_name(f"deliver/{slug}")
        except ObjectNotFound:
            msg = f"{delivery.repository} is not registered: run `adw deploy` in it once, and have `adw serve` running"
            raise Misuse(msg) from None
        workers = await client.read_workers_for_work_pool(WORK_POOL, limit=200, offset=0)
        if not any(worker.status == WorkerStatus.ONLINE for worker in workers):
            msg = "nobody would take the run up: start `adw serve` first, or leave out --detach"
            raise Misuse(msg)
        parameters = {"delivery": delivery.model_dump(mode="json", exclude_none=True)}
        run = await client.create_flow_run_from_deployment(deployment.id, parameters=parameters, name=delivery.title)
        return str(run.id), url_for(run) or ""


def prepare_form() -> dict[str, Any]:
    """A step of `prefect.yaml`: what the form's deployment is made of."""
    return {"version": _form().version}


def prepare(repository: str = "") -> dict[str, Any]:
    """A step of `prefect.yaml`: write the Blocks and the tag limit of a repository, and give what its deployment is made of."""
    hub = find_hub(Path(repository or os.environ.get("ADW_REPOSITORY") or Path.cwd()))
    config = hub.config()
    with lock.held(home() / "registering"):
        blocks.write(hub, config)
        hub.place.register(hub.root, "")
    plan = wanted(hub, config, "")
    return {**asdict(plan), "version": plan.version}

"""The tags of a flow run: by them it is found in the Prefect UI, whoever started it."""

from collections.abc import Sequence
from contextlib import suppress

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from adw.model import Issue

MOST = 50  # issues that are named so: Prefect takes no state of a flow run with more than 100 tags, flows and the like


def label(slug: str, issues: Sequence[Issue] = ()) -> None:
    """Tag the current flow run with its repository and its issues, beside the tags that it has. What cannot be tagged holds nothing up."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, tags=sorted({*context.flow_run.tags, *tags(slug, issues)}))


def tags(slug: str, issues: Sequence[Issue]) -> set[str]:
    """The tags of a run for some issues of a repository; a run of hundreds is found by its repository."""
    return {"adw", f"repository:{slug}", *(f"issue:{issue.id}" for issue in issues[:MOST])}

"""The tags of a flow run: by them it is found in the Prefect UI, whoever started it."""

from collections.abc import Sequence
from contextlib import suppress

import httpx
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectException

from adw.model import Issue

MOST = 100  # issues that are named so: a run of hundreds is found by its repository


def label(slug: str, issues: Sequence[Issue] = ()) -> None:
    """Tag the current flow run with its repository and its issues, beside the tags that it has. What cannot be tagged holds nothing up."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    tags = {*context.flow_run.tags, "adw", f"repository:{slug}", *(f"issue:{issue.id}" for issue in issues[:MOST])}
    with suppress(httpx.HTTPError, PrefectException), get_client(sync_client=True) as client:
        client.update_flow_run(context.flow_run.id, tags=sorted(tags))

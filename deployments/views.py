"""The saved view of a repository's runs: chosen in the Prefect UI, on the page Runs, it shows those and no others."""

from contextlib import suppress
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client

WEEK = 7 * 86400  # seconds: as far as the UI's own view looks back


def save(slug: str) -> list[str]:
    """Write the view, unless it is there; returns a line if it was written. Another server than adw's own may know no such thing."""
    with suppress(httpx.HTTPStatusError), get_client(sync_client=True) as client:
        if _known(client, slug):
            return []
        client.request("PUT", "/saved_searches/", json={"name": slug, "filters": [_filter("tag", [f"repository:{slug}"]), _filter("range", _SPAN)]})
        return [f"wrote the saved view {slug}"]
    return []


def remove(slug: str) -> list[str]:
    """Take the view away; returns a line if there was one."""
    with suppress(httpx.HTTPStatusError), get_client(sync_client=True) as client:
        known = _known(client, slug)
        for view in known:
            client.request("DELETE", "/saved_searches/{id}", path_params={"id": view["id"]})
        return [f"removed the saved view {slug}" for _ in known]
    return []


_SPAN = {"type": "span", "seconds": -WEEK}


def _filter(what: str, value: Any) -> dict[str, Any]:
    """A filter as the UI itself writes it."""
    return {"object": "flowRun", "property": what, "type": "", "operation": "", "value": value}


def _known(client: SyncPrefectClient, slug: str) -> list[dict[str, Any]]:
    """The views of that name; Prefect keeps one at most."""
    found: list[dict[str, Any]] = client.request("POST", "/saved_searches/filter", json={}).json()
    return [view for view in found if view["name"] == slug]

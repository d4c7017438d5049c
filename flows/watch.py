"""Hears when somebody cancels a flow run from afar, and ends its agents at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException

from adw import proc

EACH = 0.5  # seconds between looks


class Watch:
    """Looks at the state of a flow run. Whoever runs it may be told later than we are, or be nobody at all."""

    def __init__(self, flow_run: UUID | str) -> None:
        self._flow_run = UUID(str(flow_run))
        self._over = threading.Event()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Watch during the block."""
        thread = threading.Thread(target=self._look, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()

    def _look(self) -> None:
        client: Any = get_client(sync_client=True)
        with client:
            while not self._over.wait(EACH):
                with suppress(httpx.HTTPError, PrefectException):  # a server that is away for a moment tells us later
                    state = client.read_flow_run(self._flow_run).state
                    if state and (state.is_cancelling() or state.is_cancelled()):
                        proc.end_all()
                        return

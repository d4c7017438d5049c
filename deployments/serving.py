"""The application that adw's own Prefect server serves."""

from pathlib import Path
from typing import Any

from prefect.server.api.server import create_app as prefect_app
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SOON = (b"retry-after", b"0.1")
BUSY = 503
LOGOS = Path(__file__).with_name("logos")  # a picture for each kind of Block, by its slug


class RetrySoon:
    """Lets clients try again soon when SQLite was busy.

    Two transactions that write at once make Prefect answer 503, and its client then waits for two seconds and more unless told
    otherwise. Nearly every task run with a tag limit meets this, as taking a slot reads before it writes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the header to an answer that says busy."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == BUSY:
                message["headers"] = [*message["headers"], SOON]
            await send(message)

        await self._app(scope, receive, answer)


def create_app() -> Any:
    """Prefect's application, as a factory for uvicorn."""
    app = prefect_app()
    app.add_middleware(RetrySoon)
    app.router.routes.insert(0, Mount("/adw", StaticFiles(directory=LOGOS)))  # first: the UI takes all that is left
    return app

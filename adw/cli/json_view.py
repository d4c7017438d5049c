"""How a run looks to a program that collects logs: each event as JSON, in a line (`ADW_LOG=json`)."""

from typing import Any

from rich.console import Console

from adw import records
from adw.cli.view import LineView, LiveView, View
from adw.progress import Progress


class JsonView(LineView):
    """A line for each event, with all that it tells."""

    def __init__(self, console: Console, run: str) -> None:
        super().__init__(console)
        self._run = run

    def event(self, progress: Progress, event: dict[str, Any]) -> None:  # noqa: ARG002 - as a view has it
        """One line."""
        tell(self._console, **event)

    def say(self, text: str) -> None:
        """One line, of what is no event of the run."""
        tell(self._console, event="said", id=self._run, text=text)


def tell(console: Console, **event: Any) -> None:
    """Write a line, as it is: for a program nothing is wrapped or coloured."""
    console.file.write(records.line(event) + "\n")
    console.file.flush()


def chosen_view(console: Console, run: str) -> View:
    """What shows a run on a console: what the environment asks for, else the table on a terminal, and lines elsewhere."""
    if records.wanted():
        return JsonView(console, run)
    return LiveView(console) if console.is_terminal else LineView(console)

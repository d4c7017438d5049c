"""What the readers of several CLIs share: events of JSON, files that a CLI writes as it goes on, and what an API's error means."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from adw.agents.base import Job, Reader, own_file
from adw.errors import AdwError, AgentFailed, Halted, KeyRefused, ModelAway, RateLimited
from adw.model import one_line

WIDTH = 80  # characters of what the live table shows
# Of a tool's arguments, what tells most.
ABOUT = ("file_path", "filePath", "notebook_path", "command", "dir_path", "pattern", "query", "url", "description")
NO_KEY = {401, 402, 403}
TOO_MUCH = {429, 529}
NO_MODEL = 404
AWAY = {408, *range(500, 600)}
REFUSED = re.compile(r"credit balance|insufficient_quota|quota exceeded|exceeded your current quota|api key not valid|permission_error", re.IGNORECASE)
OVERLOADED = re.compile(r"overloaded", re.IGNORECASE)  # of which some CLIs only say that the API failed
RATE_OF_GEMINI = re.compile(r"gemini|vertex|resource_exhausted", re.IGNORECASE)  # there, a quota is one of requests a minute, too


def about(given: dict[str, Any]) -> str:
    """What a tool is used on: a file, a command, a pattern; empty if that does not show."""
    return next((given[key] for key in ABOUT if isinstance(given.get(key), str)), "")


class EventReader(Reader):
    """Reads a stream of JSON objects, one a line; other lines are what the CLI says outside of it."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.job = job
        self.last = ""  # what the model said last

    def take(self, line: str) -> None:
        """Take in an event; another version's idea of the same event is passed over."""
        event = parsed(line)
        if event is None:
            self.text.append(line)
            return
        with suppress(AttributeError, TypeError, ValueError, KeyError):
            self.event(event)

    def event(self, event: dict[str, Any]) -> None:
        """Take in one event."""
        raise NotImplementedError

    @classmethod
    def show(cls, line: str) -> str:
        """An event for people; as it is, if it is cut, or another version's idea of one."""
        event = parsed(line)
        with suppress(AttributeError, TypeError, ValueError, KeyError):
            return line if event is None else cls.shown(event)
        return line

    @staticmethod
    def shown(event: dict[str, Any]) -> str:
        """An event for people; empty if it tells them nothing."""
        raise NotImplementedError

    @property
    def said(self) -> str:
        """What the model said last; before it said anything, what the CLI said outside of its events."""
        return (self.last or super().said).strip()

    def does(self, verb: str, about: object) -> None:
        """Note what it does now; paths in the tree are told from there."""
        self.doing = one_line(f"{verb} {about}".replace(f"{self.job.tree}/", ""))[:WIDTH]


class Growing:
    """The lines of JSON in a file of an agent's folder, to which its CLI writes."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._at = folder, 0

    def more(self, path: Path | None) -> Iterator[dict[str, Any]]:
        """The objects that are whole, and new since the last call; none if there is no such file."""
        if path is None:
            return
        with suppress(OSError), own_file(self._folder, path) as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._at += len(line)
                if (found := parsed(line.decode(errors="replace"))) is not None:
                    yield found


def parsed(line: str) -> dict[str, Any] | None:
    """The JSON object that a line is; None if it is something else."""
    with suppress(ValueError, RecursionError):  # too deep to be an event
        found = json.loads(line)
        return found if isinstance(found, dict) else None
    return None


def api_error(status: int, said: str, seconds: float | None = None) -> AdwError:
    """What an answer of a model's API means that is no success: its HTTP status (0: there was none, or it is unknown), its words, its retry-after."""
    if status in NO_KEY or (REFUSED.search(said) and not (status in TOO_MUCH and RATE_OF_GEMINI.search(said))):
        return KeyRefused(f"the model's API refused the key: {said}")
    if status in TOO_MUCH or (status in AWAY and OVERLOADED.search(said)):
        wait = f" (it asks to wait {seconds:g} s)" if seconds else ""
        return RateLimited(f"the model's API has too much to do{wait}: {said}")
    if status in AWAY:
        return ModelAway(f"the model's API is away: {said}")
    if status == NO_MODEL:
        return Halted(f"the model's API knows no such model, or no such address: {said}\nSet agent.model in adw.toml, and `adw resume`.")
    return AgentFailed(f"the agent gave up: {said}")

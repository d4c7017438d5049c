"""Tells people what a run comes to, once: that it ended, that an issue is refused, that it waits for an approval.

What is told is read from the journal, by a thread of its own: whoever is slow, or away, delays nothing and fails nothing. What was
told is noted there, too (`told`), so that a run that is resumed does not say it again.
"""

import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from adw import proc, webhook
from adw.config import NotifyConfig
from adw.errors import AdwError
from adw.journal import Journal
from adw.model import one_line
from adw.progress import Progress
from adw.webhook import Notice

EACH = 0.5  # seconds between looks at the journal
LAST = 5.0  # seconds at most that the end of a run waits for what is still to be told
LONGEST = 300  # characters of a reason
POPUP = 5.0  # seconds that the desktop has
LONG = 30.0  # seconds that a run has been under way when the desktop tells of it: till then, whoever started it looks on
SCRIPT = ("on run argv", "display notification (item 2 of argv) with title (item 1 of argv)", "end run")  # for macOS; its words are arguments, not code


def noticed(event: dict[str, Any], progress: Progress, repository: str) -> Notice | None:
    """What people are told of an event, if it is of that kind. A run that was interrupted is not: whoever did it knows."""

    def notice(kind: str, title: str, text: str) -> Notice:
        told = one_line(text)[:LONGEST]
        return Notice(kind, repository, event["id"], f"{repository}: {title}", told, event.get("issue", ""), progress.ui, event.get("about", ""))

    if event["event"] == "run ended" and event["state"] != "interrupted":
        counts = Counter(row.state for row in progress.rows.values() if row.state)
        how = ", ".join(f"{number} {state}" for state, number in sorted(counts.items()))
        return notice("ended", f"the run is {event['state']}", ". ".join(filter(None, (how, event["reason"]))) or "there was nothing to do")
    if event["event"] == "outcome" and event["state"] in {"refused", "blocked"}:
        return notice("refused", f"{event['issue']} is {event['state']}", f"{event['title']}: {event['reason']}")
    if event["event"] == "approval" and event["state"] == "wanted":
        row = progress.rows.get(event["issue"])
        return notice("approval", f"{event['issue']} waits for approval ({event['gate']})", row.title if row else "")
    return None


class Teller:
    """Tells what comes into a journal from now on."""

    def __init__(self, journal: Journal, repository: str, config: NotifyConfig, secret: Callable[[str], str], *, desktop: bool) -> None:
        self._journal, self._repository, self._config, self._secret = journal, repository, config, secret
        self._desktop = desktop and config.desktop
        self._reader, self._over, self._warned = journal.reader(), threading.Event(), False
        self._told: set[str] = set()
        self.patience = LAST  # at the end; none for whoever ended it with Ctrl-C

    @contextmanager
    def at_work(self) -> Iterator["Teller"]:
        """Tell during the block, and at its end what is left, as far as that is soon done. Nothing is done where nobody is to be told."""
        if not (webhook.configured(self._config) or (self._desktop and desktop())):
            yield self
            return
        self._told |= {event["notice"] for event in self._reader.news() if event["event"] == "told"}
        thread = threading.Thread(target=self._work, name="teller", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._over.set()
            thread.join(self.patience)
            if self.patience and thread.is_alive():
                self._warn("whoever is to be told does not answer")

    def _work(self) -> None:
        over = False
        while not over:
            over = self._over.wait(EACH)
            with suppress(OSError):  # the disk is full, or the run's folder is gone: the run itself says so
                for event in self._reader.news():
                    notice = noticed(event, self._reader.progress, self._repository)
                    if notice and notice.kind in self._config.on and notice.key not in self._told:
                        self._told.add(notice.key)
                        shown = self._desktop and event["timestamp"] - self._reader.progress.started > LONG and popup(notice)
                        self._tell(notice, shown=shown)

    def _tell(self, notice: Notice, *, shown: bool) -> None:
        """Post a notice, and note that it was told, if it was, or is shown."""
        try:
            url = webhook.address(self._config, self._secret)
            if url:
                webhook.post(url, self._config.format, notice)
        except AdwError as no:
            self._warn(str(no))
            return
        if url or shown:
            self._journal.event("told", id=notice.id, notice=notice.key, kind=notice.kind)

    def _warn(self, reason: str) -> None:
        """Say once that somebody is not told: what comes after is hardly told, either."""
        if not self._warned:
            self._warned = True
            self._journal.event("untold", text=f"nobody is told of it ([notify] in adw.toml): {reason}")


def popup(notice: Notice) -> bool:
    """Show a notice on the desktop, where there is one; whether it is shown."""
    with suppress(OSError):
        return bool(argv := desktop()) and proc.heard([*argv, notice.title, notice.text], POPUP)[0] == 0
    return False


def desktop() -> list[str]:
    """The command that shows a title and a text on the desktop; empty if there is none."""
    if shutil.which("notify-send"):
        return ["notify-send", "--app-name=adw", "--"]
    return ["osascript", *(word for line in SCRIPT for word in ("-e", line))] if shutil.which("osascript") else []

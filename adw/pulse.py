"""What the processes of a command hold, and whether they still do anything, as far as is looked."""

import time
from contextlib import suppress
from pathlib import Path

import psutil

EACH = 5.0  # seconds between looks: each reads all of /proc
IDLE = 0.05  # of a core: a CLI that only waits for its API takes less, 0.015 at most of those that were seen


class Pulse:
    """Of a process and all below it."""

    def __init__(self, pid: int, log: Path, minutes: float) -> None:
        self.now, self.most = 0, 0  # bytes that they hold, and held at once at most, each page of each
        self.silent = False  # for so many minutes (0: it does not matter) they have printed nothing into the log, and done next to nothing
        self._pid, self._log, self._seconds = pid, log, minutes * 60
        self._each, self._due = min(EACH, self._seconds or EACH), 0.0
        self._since, self._printed, self._worked = time.monotonic(), 0, 0.0

    def look(self) -> None:
        """Look now, if the last time is long enough ago."""
        if (now := time.monotonic()) < self._due:
            return
        self._due = now + self._each
        self.now, worked = self._added_up()
        self.most = max(self.most, self.now)
        if self._seconds:
            self._listen(now, worked)

    def _added_up(self) -> tuple[int, float]:
        """Bytes that they hold, and seconds of a core that they have used; those of processes that ended are in their parents'."""
        held, worked = 0, 0.0
        with suppress(psutil.Error):
            top = psutil.Process(self._pid)
            for process in (top, *top.children(recursive=True)):
                with suppress(psutil.Error), process.oneshot():  # it has just ended
                    worked += sum(process.cpu_times()[:4])
                    held += process.memory_info().rss if process != top else 0
        return held, worked

    def _listen(self, now: float, worked: float) -> None:
        """Judge the time since the last output, or since the last time that it was judged by what they did."""
        printed, passed = self._log.stat().st_size, now - self._since
        if printed == self._printed and passed < self._seconds:
            return
        self.silent = printed == self._printed and worked - self._worked < IDLE * passed
        self._since, self._printed, self._worked = now, printed, worked

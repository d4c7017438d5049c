"""Runs a command on a terminal, where a person types."""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.conftest import LIMIT, Adw, until


@dataclass
class Terminal:
    """Our end of a terminal, and what was drawn on it."""

    process: "subprocess.Popen[bytes]"
    end: int
    drawn: str = ""
    read: int = 0  # how far what was drawn has been looked at

    def shows(self, text: str) -> None:
        """Wait until something is drawn behind what was waited for before."""

        def found() -> bool:
            self._take_in()
            return text in self.drawn[self.read :]

        until(found)
        self.read += self.drawn[self.read :].index(text) + len(text)

    def type(self, line: str) -> None:
        os.write(self.end, f"{line}\n".encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """The exit status, once it is over."""
        until(lambda: self._take_in() or self.process.poll() is not None)
        self._take_in()
        return self.process.returncode

    def _take_in(self) -> None:
        while select.select([self.end], [], [], 0)[0]:
            try:
                self.drawn += os.read(self.end, 65536).decode(errors="replace")
            except OSError:
                return  # the other end is closed


@contextmanager
def on_a_terminal(adw: Adw, *args: str, **env: str) -> Iterator[Terminal]:
    """A command on a terminal of 110 columns; it does not outlive the block."""
    ours, theirs = pty.openpty()
    given = {**adw.environment(), "COLUMNS": "110", "LINES": "50", "TERM": "xterm-256color", **env}
    command = [sys.executable, "-m", "adw", *args]
    process = subprocess.Popen(command, cwd=adw.repository.path, env=given, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait(LIMIT)
        os.close(ours)

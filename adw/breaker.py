"""A circuit breaker: when a model does not answer, no more agents are started, till one that is let through shows that it works again.

closed ── failures of one kind in a row ──> open ── after a while, one agent ──> closed, if it works; else open again
                                              └── after some of those in vain, or at once if a person must act ──> halted
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from adw import proc
from adw.config import BreakerConfig
from adw.errors import AdwError, AgentCrashed, BudgetSpent, Halted, Interrupted, ModelAway

EACH = 0.2  # seconds between looks while it is open
KINDS = {ModelAway: "the model's API", AgentCrashed: "the agent's process"}


class Breaker:
    """One for a run, in each process that runs phases. Many threads may use it."""

    def __init__(self, config: BreakerConfig, tell: Callable[[str, str], None]) -> None:
        self._config, self._tell = config, tell  # told of each state, with the reason
        self._guard = threading.Lock()
        self._kind, self._failures, self._probes = "", 0, 0
        self._open_until, self._probing = 0.0, False
        self._halted: Halted | None = None

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Let an agent work in the block, once the breaker lets it; Halted if it never will in this run."""
        probe = self._enter()
        try:
            yield
        except (ModelAway, AgentCrashed) as no:
            self._failed(no, probe=probe)
            raise
        except (Interrupted, Halted) as no:
            if isinstance(no, Halted) and not isinstance(no, BudgetSpent):  # a budget may be that of one issue alone
                self.halt(no)
            self._probing = self._probing and not probe  # it says nothing
            raise
        except AdwError:
            self._worked()  # the agent answered, be it no
            raise
        else:
            self._worked()

    def halt(self, no: Halted) -> None:
        """Let nobody through any more."""
        with self._guard:
            if self._halted:
                return
            self._halted = no
        self._tell("halted", str(no))

    def _enter(self) -> bool:
        """Wait till the breaker is closed, or lets us through as its probe; whether we are that."""
        while True:
            proc.go_on()
            with self._guard:
                if self._halted:
                    raise type(self._halted)(*self._halted.args)
                if not self._open_until:
                    return False
                if not self._probing and time.monotonic() >= self._open_until:
                    self._probing = True
                    return True
            time.sleep(EACH)

    def _worked(self) -> None:
        with self._guard:
            was_open = bool(self._open_until)
            self._kind, self._failures, self._probes, self._open_until, self._probing = "", 0, 0, 0.0, False
        if was_open:
            self._tell("closed", "")

    def _failed(self, no: AdwError, *, probe: bool) -> None:
        with self._guard:
            kind = next(words for of, words in KINDS.items() if isinstance(no, of))
            self._failures = self._failures + 1 if kind == self._kind else 1
            self._kind = kind
            self._probes += probe
            if not (probe or (self._failures >= self._config.failures and not self._open_until)):
                return
            self._open_until, self._probing = time.monotonic() + self._config.seconds, False
            in_vain = self._probes >= self._config.probes
        reason = f"{kind} failed {self._failures} times in a row; the last time: {no}"
        if in_vain:
            self.halt(Halted(f"{reason}\nNo agent is started any more. What is done is kept: when it works again, `adw resume` goes on."))
        else:
            self._tell("open", reason)

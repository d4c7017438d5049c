"""The process of one run: what `adw run` starts, watches, ends, and starts again if it dies (`python -m adw.cli.runner FOLDER`).

Exit status: as `adw` itself; 75 if the infrastructure failed, so that the same again may work.
"""

import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import httpx
from prefect import tags
from prefect.client.schemas.objects import State
from prefect.events.worker import EventsWorker
from prefect.exceptions import PrefectException
from prefect.logging.handlers import APILogWorker

from adw import proc
from adw.cli.supervise import INTERRUPTED, TRY_AGAIN
from adw.errors import AdwError, Misuse
from adw.home import Place
from adw.journal import Journal
from adw.model import Outcome
from flows.deliver import deliver
from flows.delivery import Delivery

END_LIMIT = 20  # seconds for an end in good order
SEND_LIMIT = 3.0  # seconds that Prefect's server is waited for, for logs and again for states
INFRASTRUCTURE = (httpx.HTTPError, PrefectException, ConnectionError, TimeoutError)


def main(folder: Path) -> int:
    """Deliver what the run's folder asks for, and say in its journal how it ended."""
    signal.signal(signal.SIGTERM, lambda *_: proc.end_all())  # while the flow runs, Prefect has a handler of its own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for whoever started us
    journal = Journal(folder)
    threading.Thread(target=_mind_the_leash, daemon=True).start()
    threading.Thread(target=_beat, args=[journal.heart], daemon=True).start()
    try:
        status, state, reason = _deliver(journal)
    except AdwError as no:
        status, state, reason = (2 if isinstance(no, Misuse) else 1), "failed", str(no)
    except INFRASTRUCTURE as no:
        traceback.print_exc()
        return _interrupted(journal) if proc.stopped() else _again(journal, no)
    except BaseException as no:  # noqa: BLE001 - the edge: Prefect's signal that the flow was cancelled, or a bug of adw's
        traceback.print_exc()
        status, state, reason = 3, "failed", f"a bug in adw, {type(no).__name__}: {no}"
    if proc.stopped():
        return _interrupted(journal)
    journal.event("run ended", state=state, reason=reason)
    return status


def _deliver(journal: Journal) -> tuple[int, str, str]:
    delivery = Delivery.model_validate(journal.order())
    with tags("adw", f"repository:{Place.of_run(journal.folder).slug}"):
        ended: State[Any] = deliver(delivery, return_state=True)
    if ended.is_cancelled():
        return INTERRUPTED, "interrupted", ""
    result = ended.result(raise_on_failure=False)
    if isinstance(result, BaseException):
        raise result
    return _judge(result)


def _judge(outcomes: list[Outcome]) -> tuple[int, str, str]:
    """The exit status of a run, how it ended, and why."""
    crashed = [o for o in outcomes if o.state == "crashed"]
    if crashed:
        known = any(o.reason.split(":")[0] in {kind.__name__ for kind in _family()} for o in crashed)
        return (TRY_AGAIN if known else 3), "failed", crashed[0].reason
    if stopped := next((o for o in outcomes if o.state == "stopped"), None):
        return 2, "stopped", stopped.reason
    if all(outcome.good or outcome.state == "planned" for outcome in outcomes):
        return 0, "done", ""
    return 1, "done", ""


def _family() -> set[type]:
    found, todo = set(), list(INFRASTRUCTURE)
    while todo:
        kind = todo.pop()
        found.add(kind)
        todo += kind.__subclasses__()
    return found


def _interrupted(journal: Journal) -> int:
    journal.event("run ended", state="interrupted", reason="")
    return INTERRUPTED


def _again(journal: Journal, no: Exception) -> int:
    journal.event("note", text=f"the infrastructure failed ({type(no).__name__}: {str(no)[:300]})")
    return TRY_AGAIN


def _mind_the_leash() -> None:
    """Our standard input is a pipe to whoever started us; when it closes, they want an end, or are gone."""
    while os.read(0, 1024):
        pass
    proc.end_all()
    time.sleep(END_LIMIT)
    os._exit(INTERRUPTED)  # something hangs; the next run mends what is left


def _beat(heart: Path) -> None:
    """Show that this process gets on: whoever started it ends one that does not."""
    while True:
        heart.touch()
        time.sleep(1)


def _send() -> None:
    """Have Prefect send what it has not sent yet: logs, and the last states of task runs. A server that does not answer is not waited for long."""
    for worker in (APILogWorker, EventsWorker):
        worker.drain_all(timeout=SEND_LIMIT)


if __name__ == "__main__":
    status = main(Path(sys.argv[1]))
    _send()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # Prefect's and Dask's threads would take seconds to end; all that matters is written

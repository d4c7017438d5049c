"""Asks a person whether a plan may be built, or a change may land: in the Prefect UI, and in the terminal of the run, if it has one."""

import contextvars
import threading
import uuid
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TypeVar

from prefect.flow_runs import pause_flow_run
from prefect.input import RunInput
from pydantic import Field

from adw import proc
from adw.model import Issue

LONGEST = 30 * 86400  # seconds that a question may stay open
EACH = 1  # seconds between looks for an answer


class Approval(RunInput):
    """Whether something may go on."""

    approve: bool = Field(default=True, description="Whether it may go on.")
    feedback: str = Field("", description="If not: what is wrong with it. The next try is made with this.")


class PlanApproval(Approval):
    """Whether a plan may be built, and how."""

    plan: str = Field("", description="The plan; what you make of it is built.")


Form = TypeVar("Form", bound=Approval)


def ask_a_person(issue: Issue, question: str, form: type[Form], **filled_in: str) -> Form:
    """Pause the flow run until somebody answers; the phases of other issues go on. Interrupted if the run is to end.

    Prefect's own wait would not see that, so it waits in a thread that nobody waits for.
    """
    answer: Future[Form] = Future()

    def wait() -> None:
        try:
            asked = form.with_initial_data(description=question, **filled_in)
            key = f"{issue.key}-{uuid.uuid4().hex[:8]}"
            answer.set_result(pause_flow_run(asked, timeout=LONGEST, poll_interval=EACH, key=key))
        except BaseException as no:  # noqa: BLE001 - whatever it is, it belongs to the thread that asked
            answer.set_exception(no)

    threading.Thread(target=contextvars.copy_context().run, args=[wait], name="question", daemon=True).start()
    while True:
        proc.go_on()
        try:
            return answer.result(EACH / 2)
        except NotYet:
            continue

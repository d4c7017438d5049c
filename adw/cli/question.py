"""Asks a person on the terminal whether a plan or a change is as they want it.

What a run asks can be answered in the Prefect UI as well: whoever is first is heard, and the other side stops asking.
"""

import os
import select
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import click
import httpx
from rich.console import Console
from rich.markdown import Markdown

from adw.cli import api
from adw.cli.view import View
from adw.progress import Progress

EACH = 0.2  # seconds between looks at the keyboard
ASK_EACH = 1.0  # seconds between looks at the flow run


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said; `plan` is the plan as they leave it."""

    approve: bool
    feedback: str = ""
    plan: str = ""


def on_terminal(console: Console) -> bool:
    """Whether a person sees what is printed, and can answer."""
    return console.is_terminal and sys.stdin.isatty()


def ask(console: Console, plan: str | None, over: Callable[[], bool] = lambda: False) -> Answer | None:
    """What a person says of a plan, or of a change (None) that they were shown; None if they leave it, or if it is `over` before they answer."""
    choices = ["approve", *(["edit"] if plan is not None else []), "reject", "leave"]
    termios.tcflush(sys.stdin, termios.TCIFLUSH)  # what was typed before the question is no answer
    while (said := _line(console, f"{', '.join(choices[:-1])} or leave it (the first letter will do)? ", over)) is not None:
        choice = next((choice for choice in choices if said and choice.startswith(said.lower())), "")
        if choice == "leave":
            return None
        if choice == "approve":
            return Answer(approve=True, plan=plan or "")
        if choice == "reject" and (feedback := _line(console, "what is wrong with it (one line)? ", over)):
            return Answer(approve=False, feedback=feedback, plan=plan or "")
        if choice == "edit" and (text := _edited(console, plan or "")):
            return Answer(approve=True, plan=text)
    return None


def _line(console: Console, prompt: str, over: Callable[[], bool]) -> str | None:
    """A line that is typed; None if it is over before that, or at the end of input (Ctrl-D)."""
    console.print(prompt, end="", markup=False, highlight=False, soft_wrap=True)
    while not over():
        if select.select([sys.stdin], [], [], EACH)[0]:
            got = os.read(sys.stdin.fileno(), 4096)  # a terminal gives whole lines
            if not got:
                break
            return got.decode(errors="replace").strip()
    console.print()
    return None


def _edited(console: Console, text: str) -> str:
    """A text as a person leaves it in their editor; empty if they did not save it."""
    try:
        return (click.edit(text, extension=".md") or "").strip()
    except click.ClickException as no:
        console.print(f"{no.format_message()}: set EDITOR to one that is installed", markup=False)
        return ""


class Asker:
    """Asks what a run asks, beside what watches the run."""

    def __init__(self, console: Console, view: View, progress: Progress) -> None:
        self._console, self._view, self._progress = console, view, progress
        self._over = threading.Event()
        self._done = ""  # the question that was asked last

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Ask during the block, if there is a terminal. An editor that is open at its end is waited for."""
        thread = threading.Thread(target=self._work, name="asker", daemon=True)
        if on_terminal(self._console):
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            if thread.ident:
                thread.join()

    def _work(self) -> None:
        while not self._over.wait(EACH):
            if self._progress.asked and (question := api.question(self._progress.flow_run)) and question.key != self._done:
                self._done = question.key
                with self._view.aside():
                    self._ask(question)

    def _ask(self, question: api.Question) -> None:
        self._console.print(Markdown(question.text))
        looked = time.monotonic()

        def over() -> bool:
            nonlocal looked
            if self._over.is_set() or time.monotonic() - looked < ASK_EACH:
                return self._over.is_set()
            looked = time.monotonic()
            return not api.is_open(question)

        answer = ask(self._console, question.plan, over)
        self._console.print(self._told(question, answer), markup=False, highlight=False)

    def _told(self, question: api.Question, answer: Answer | None) -> str:
        """Pass an answer on; returns what came of it."""
        if answer is None:
            return f"it can still be answered in the Prefect UI: {self._progress.ui}" if api.is_open(question) else "it was answered elsewhere"
        values = asdict(answer)
        if question.plan is None:
            del values["plan"]
        try:
            return "the run goes on" if api.answer(question, **values) else "somebody else answered first"
        except httpx.HTTPError as no:
            self._done = ""  # it is asked once more
            return f"the Prefect server did not take the answer ({no})"

"""Has an agent work on a phase, and tells its ends apart.

Where the model's API is the trouble, all who use it wait, and the agent goes on with its session; where the agent was
interrupted, by a crash of adw or a limit, it goes on with the session and the files that it had.
"""

import random
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from adw import answers, proc, prompts
from adw.agents.base import Agent, Call, Job, Reader, own_path
from adw.config import AgentConfig, Config
from adw.desk import Access, Desk, at_desk, cooldown, wrong_key
from adw.errors import AdwError, AgentCrashed, AgentCut, AgentFailed, AgentSilent, BudgetSpent, KeyRefused, ModelAway, SessionLost
from adw.journal import Journal
from adw.listening import Limits, Listener
from adw.mirror import Source
from adw.model import Issue, Order, digest
from adw.sessions import Session, Shelf, rescued
from adw.slot import Lease, rein, remove

Form = TypeVar("Form", bound=BaseModel)
SAID = 12_000  # characters of what an agent said that are kept and passed on
TRIALS = 10  # at a model's API that is in trouble, before the phase is given up
LONGEST_PAUSE = 60.0  # seconds
EACH = 0.2  # seconds between looks while it waits


@dataclass(frozen=True, slots=True)
class Said:
    """What an agent said in the end."""

    text: str
    answer: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What an agent is asked, in a new session and in one that goes on."""

    whole: str
    on: str


@dataclass(slots=True)
class Asking:
    """One agent at work on one phase, in a slot that it has been lent."""

    hub: Source
    config: Config
    agent: Agent
    journal: Journal
    lease: Lease
    issue: Issue
    order: Order
    secrets: Mapping[str, str]
    trials: int = TRIALS
    beside: str = ""  # a part of the prompt that makes no other question of it
    worked: float = field(default=0.0, init=False)  # seconds

    def ask(self, prompt: str, form: type[BaseModel] | None = None) -> Said:
        """Its answer to a prompt; that of an earlier time if only adw had died since.

        AgentFailed: it says no. AgentCut: it met a limit. AgentCrashed: it was killed, or gave no sign of life. Halted: nobody can go on.
        """
        return self._answer(Words(prompt, prompts.fill("go_on", prompt=prompt)), form)

    def again(self, prompt: str, more: str) -> Said:
        """What it says to one thing more, where it has answered a prompt: in the same session, if it has one."""
        return self._answer(Words(f"{prompt}\n{more}", more), None)

    def checked(self, prompt: str, form: type[Form]) -> Form | Said:
        """Its answer in a form; asked once more if it is not in that form, then AgentFailed. As it is, of an agent that gives no such answers."""
        said = self.ask(prompt, form)
        found = answers.checked(form, said.answer, said.text)
        if isinstance(found, str) and self.agent.structured:
            again = prompts.fill("again", wrong=found, answer=prompts.wanted(form))
            said = self._answer(Words(f"{prompt}\n{again}", again), form)
            found = answers.checked(form, said.answer, said.text)
            if isinstance(found, str):
                msg = f"the agent did not answer in {self.order.phase} in the form that it was asked for, twice ({found}):\n{said.text}"
                raise AgentFailed(msg)
        return said if isinstance(found, str) else found

    def _answer(self, words: Words, form: type[BaseModel] | None) -> Said:
        with at_desk(self.config, self.journal) as desk:
            session = self._taken_up(words.whole)
            if session.said is not None:
                return Said(session.said, session.answer)
            try:
                reader = self._patiently(desk, words, form)
            except AgentFailed as no:
                if not isinstance(no, AgentCut):
                    self._shelf.forget()  # it ended by itself: its files are not kept, so its memory must not be either
                raise
            said = Said(reader.said[-SAID:], reader.answer)
            self._keep(said=said.text, answer=said.answer)
            return said

    @property
    def _settings(self) -> AgentConfig:
        return self.config.agent.at(self.order.phase)

    @property
    def _shelf(self) -> Shelf:
        return Shelf.of(self.hub.place, self.order)

    def _taken_up(self, prompt: str) -> Session:
        """The session to go on with, its files in the slot; or a new one."""
        new = Session(agent=self.agent.identity, base=self.lease.commit, lease=self.lease.id, prompt=digest(prompt.replace(self.beside, "")))
        old = self._shelf.read()
        if old is None or not old.id or (old.agent, old.base) != (new.agent, new.base):
            self._shelf.begin(new)
            return new  # files of one that cannot go on stay pinned, and are not laid out
        if old.lease != new.lease and (sha := rescued(self.hub, self.order.issue_key, old.lease)):
            self.lease.git.lay_out(self.hub.mirror.tree_of(sha))
        same = old.prompt == new.prompt
        session = replace(old, lease=new.lease, prompt=new.prompt, said=old.said if same else None, answer=old.answer if same else None)
        self._shelf.write(session)
        return session

    def _keep(self, **known: Any) -> None:
        if session := self._shelf.read():
            self._shelf.write(replace(session, **known))

    def _patiently(self, desk: Desk, words: Words, form: type[BaseModel] | None) -> Reader:
        """Have it work; where the model's API is in trouble, again after a pause of all who use it. ModelAway if it cannot go on where it was."""
        pause = cooldown(self._settings, self.secrets)
        for trial in count(1):
            while pause.left():
                proc.go_on()
                time.sleep(EACH)
            try:
                return self._going_on(desk, words, form)
            except ModelAway as no:
                pause.push(min(LONGEST_PAUSE, 2.0**trial) + random.uniform(0, 2))  # noqa: S311 - so that not all come back at once
                desk.throttled(self.order, str(no))
                if trial == self.trials or not self._session():
                    raise
        raise AssertionError  # unreachable: the loop does not end by itself

    def _going_on(self, desk: Desk, words: Words, form: type[BaseModel] | None) -> Reader:
        """Let it go on with its session, if there is one and its CLI knows it; else begin."""
        if session := self._session():
            try:
                return self._guarded(desk, session, words.on, form)
            except SessionLost:
                self._keep(id="")
        return self._guarded(desk, "", words.whole, form)

    def _session(self) -> str:
        """The id by which the agent's CLI knows the session; empty if it does not."""
        session = self._shelf.read()
        return session.id if session else ""

    def _guarded(self, desk: Desk, session: str, text: str, form: type[BaseModel] | None) -> Reader:
        if over := desk.ledger.over(self.order.issue):
            raise BudgetSpent(over)
        with desk.breaker.guarded():
            return self._once(desk, session, text, form)

    def _once(self, desk: Desk, session: str, text: str, form: type[BaseModel] | None) -> Reader:
        """Run its command once; returns what was read if that ended well."""
        settings, slot = self._settings, self.lease.tree.parent
        prompt, raw, log = slot / "tmp" / "prompt.md", slot / "output", self.journal.log(self.order)
        for file in (prompt, raw):
            remove(file)  # an agent that was asked before may have put a link in its place
        prompt.write_text(text, encoding="utf-8")
        raw.touch()
        with desk.access(self.agent, settings, self.secrets, self.order, self.issue.priority) as access:
            job = self._job(settings, prompt, session, access, form)
            call, reader = self.agent.call(job), self.agent.reader(job)
            limits = Limits(desk, self.journal, self.order, self.lease.watch, output_mb=settings.output_mb, usd=settings.usd, counted=bool(access.tokens))
            listener = Listener(raw, log, reader, [*self.secrets.values(), *access.tokens], limits)
            began = time.monotonic()
            try:
                ended = proc.kept(
                    self._boxed(call),
                    cwd=self.lease.tree,
                    env={**self.lease.env, **self._home(settings), **access.env, **call.env},
                    log=raw,
                    minutes=settings.minutes - self.worked / 60,
                    silent_minutes=settings.silent_minutes,
                    stdin=prompt,
                    fds=self.lease.fds,
                    watch=lambda: self._watched(listener, reader),
                )
            finally:
                self.worked += time.monotonic() - began
                listener.end()
                self._keep(id=reader.session or session)
        self.journal.event("memory", **self.order.fields, bytes=ended.memory)
        self._judge(desk, ended, reader)
        return reader

    def _boxed(self, call: Call) -> list[str]:
        """The command line in the sandbox: with the agent's own folder and login, and the tree only to be read where no edit is wanted."""
        login = self.agent.login
        linked = login is not None and (self._shelf.agent / login.own).is_symlink()
        theirs = [Path.home()] if self._settings.login == "home" else [Path.home() / login.home] if login and linked else []
        edits = self.config.agent.tools(self.order.phase) != "read" or not self.agent.structured
        return self.lease.boxed(call.argv, agent=True, readable=call.readable, writable=[self._shelf.agent, *theirs], edits=edits)

    def _watched(self, listener: Listener, reader: Reader) -> str:
        known = reader.session
        why = listener()
        if reader.session != known:
            self._keep(id=reader.session)  # at once: adw may be killed any moment
        return why

    def _job(self, settings: AgentConfig, prompt: Path, session: str, access: Access, form: type[BaseModel] | None) -> Job:
        rein(self._shelf.agent)
        job = Job(
            phase=self.order.phase,
            prompt=prompt,
            tree=self.lease.tree,
            folder=self._shelf.agent,
            tools=self.config.agent.tools(self.order.phase),
            session=session,
            new_session=str(uuid.uuid4()),
            schema=answers.schema(form) if form else None,
            turns=settings.turns,
            usd=settings.usd,
            urls=access.urls,
        )
        self._log_in(settings, access, job)
        return job

    def _log_in(self, settings: AgentConfig, access: Access, job: Job) -> None:
        """Link the user's own login into the agent's folder, if it has no key."""
        login = self.agent.login
        if login is None or settings.login != "link" or any(key in access.env for key in self.agent.keys):
            return
        theirs = Path.home() / login.home
        if theirs.is_file():
            own_path(job, login.own).symlink_to(theirs)

    def _home(self, settings: AgentConfig) -> dict[str, str]:
        """The user's own HOME, if the agent is to have it."""
        return {"HOME": str(Path.home())} if settings.login == "home" else {}

    def _judge(self, desk: Desk, ended: proc.Ended, reader: Reader) -> None:
        """Nothing if it did what was asked; else what came in between."""
        phase, said = self.order.phase, reader.said[-SAID:]
        over = desk.ledger.over(self.order.issue)
        if ended.silent:
            msg = f"the agent was stopped in {phase}, as it seemed to wait for ever: {ended.cut} (agent.silent_minutes in adw.toml)"
            raise AgentSilent(msg)
        if ended.cut:
            msg = f"the agent was stopped in {phase}: {ended.cut}\n{said}"
            raise BudgetSpent(over) if ended.cut == over else AgentCut(msg)
        if ended.killed:
            msg = f"the agent was killed in {phase} (exit status {ended.status}), by a person or for lack of memory"
            raise AgentCrashed(msg)
        try:
            reader.end(ended.status)
        except KeyRefused as no:
            msg = f"{no}\n{wrong_key()}"
            raise KeyRefused(msg) from no
        except AdwError as no:
            if over:
                raise BudgetSpent(over) from no  # the gateway let it ask no more
            msg = f"in {phase}, {no}"
            raise type(no)(msg) from no

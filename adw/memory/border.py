"""The memory of one run, for whoever must not fail by it: whatever is wrong with it is told once, and the run goes on without."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from queue import SimpleQueue
from typing import Any, TypeVar

from adw.config import MemoryConfig
from adw.memory import unfit
from adw.memory.model import KINDS, LONGEST, Memory, Store, keep, within
from adw.model import one_line

T = TypeVar("T")
LIMIT = 0.5  # seconds that a recall may take
OPENING = 10.0  # seconds that the first one waits for Mem0 to be imported, and its store to be opened, which begins with the run
WRITING = 5.0  # seconds that the end of a run waits for what is still to be written
Lesson = Callable[[], Iterable[Memory]]
Blobs = Callable[[str, Sequence[str]], Mapping[str, str]]  # of a commit and paths


def aside(work: Callable[[], T], name: str) -> "Future[T]":
    """Have something done in a thread of its own, which nobody needs to wait for, also not at the end of the process."""
    done: Future[T] = Future()

    def do() -> None:
        try:
            done.set_result(work())
        except BaseException as no:  # noqa: BLE001 - for whoever asks for the result
            done.set_exception(no)

    threading.Thread(target=do, name=name, daemon=True).start()
    return done


@dataclass
class Border:
    """Where a run and the memory of its repository meet."""

    config: MemoryConfig
    open: Callable[[], Store]
    blobs: Blobs
    warn: Callable[[str], object]
    limit: float = LIMIT
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _warned: bool = False
    _store: "Future[Store] | None" = None
    _stuck: "Future[Any] | None" = None  # a call that took too long, and is under way
    _news: "SimpleQueue[Lesson | None]" = field(default_factory=SimpleQueue)
    _writer: "Future[None] | None" = None

    @classmethod
    def off(cls) -> "Border":
        """Where nothing is remembered."""
        return cls(MemoryConfig(mode="off"), NotImplemented, NotImplemented, NotImplemented)

    @property
    def on(self) -> bool:
        """Whether there is one."""
        return self.config.mode != "off"

    def begin(self) -> None:
        """Begin to open it, as that takes a second."""
        if self.on:
            self._opened()

    def recall(self, question: Callable[[], tuple[str, str]]) -> tuple[Memory, ...]:
        """What is known that fits a text, and is true of a commit as far as can be told; nothing if the memory does not answer in time."""
        if not self.on or self._is_stuck():
            return ()
        try:
            store = self._in_time(self._opened(), OPENING)
            return self._in_time(aside(lambda: self._fitting(store, *question()), "recall"), self.limit)
        except Exception as no:  # noqa: BLE001 - this is the border: whatever the memory has, the run has not
            self._tell(no)
            return ()

    def learn(self, lesson: Lesson) -> None:
        """Have something remembered; nobody waits for that before the end of the run."""
        if not self.on:
            return
        with self._guard:
            self._writer = self._writer or aside(self._write, "memory")
        self._news.put(lesson)

    def close(self) -> None:
        """Wait for what is still to be written, for a while."""
        if self._writer is None:
            return
        self._news.put(None)
        try:
            self._in_time(self._writer, WRITING)
        except Exception as no:  # noqa: BLE001 - the same
            self._tell(no)

    def _fitting(self, store: Store, query: str, commit: str) -> tuple[Memory, ...]:
        found = store.recall(query, 4 * self.config.k)
        paths = sorted({path for memory in found for path in memory.files})
        now = self.blobs(commit, paths) if paths else {}
        true = [memory for memory in found if all(now.get(path) == blob for path, blob in memory.files.items())]
        return tuple(within(true, self.config.k, self.config.tokens))

    def _write(self) -> None:
        while lesson := self._news.get():
            try:
                store = self._opened().result()
                for memory in lesson():
                    self._keep(store, memory)
            except Exception as no:  # noqa: BLE001 - the same
                self._tell(no)

    def _keep(self, store: Store, memory: Memory) -> None:
        """Keep what is fit to be kept. What looks like a secret is dropped without a word of it."""
        if not unfit.secret(f"{memory.text}\n{memory.about}\n{memory.name}"):
            keep(store, fit(memory, self.config), time.time())

    def _opened(self) -> "Future[Store]":
        """The store; if it could not be opened once, it cannot."""
        with self._guard:
            self._store = self._store or aside(self._open, "opening of the memory")
            return self._store

    def _open(self) -> Store:
        store = self.open()
        store.purge()
        return store

    def _in_time(self, call: "Future[T]", seconds: float) -> T:
        """What comes of a call; nobody asks again while one that took too long is under way."""
        try:
            return call.result(seconds)
        except TimeoutError:
            if call.done():
                raise
            self._stuck = call
            msg = f"it did not answer within {seconds:g} seconds"
            raise TimeoutError(msg) from None

    def _is_stuck(self) -> bool:
        return self._stuck is not None and not self._stuck.done()

    def _tell(self, no: Exception) -> None:
        with self._guard:
            warned, self._warned = self._warned, True
        if not warned:
            self.warn(f"the memory is of no help, and the run goes on without it: {type(no).__name__}: {one_line(str(no))}")


def fit(memory: Memory, config: MemoryConfig) -> Memory:
    """A memory as it is kept: not too long, of a kind that there is, and for as long as its kind lasts; what a person said lasts."""
    kind = memory.kind if memory.kind in KINDS else "convention"
    kept = replace(memory, text=memory.text.strip()[:LONGEST], kind=kind)
    return kept if kept.source == "person" else replace(kept, expires_at=time.time() + config.lasts(kind))

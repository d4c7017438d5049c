"""The memories of a repository by Mem0: words in a file, whatever the user has configured, or Mem0's own platform.

Mem0 is imported when one is opened: that takes most of a second.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from adw.config import MemoryConfig
from adw.errors import Misuse
from adw.home import home
from adw.memory.model import Memory, Stale, Store

KEY = "MEM0_API_KEY"
MOST = 10_000  # memories of a repository that are listed
PAGE = 100  # of the platform
TIMEOUT = 10.0  # seconds for an answer of the platform: Mem0's own is 300


def opened(config: MemoryConfig, scope: str, secrets: Mapping[str, str]) -> Store:
    """The memories of a repository, as it is configured. Whatever Mem0 raises, if they cannot be had."""
    if config.mode == "platform":
        if not secrets.get(KEY):
            msg = f"the memory is on Mem0's platform, and there is no key: name a Prefect Secret for {KEY} in memory.secrets of adw.toml"
            raise Misuse(msg)
        return platform(secrets[KEY], scope)
    if config.mode == "semantic":
        os.environ.update(secrets)  # Mem0 looks for its keys there; agents and tests get an environment of their own
        return semantic(config.semantic, scope)
    return lexical(place(), scope)


def place() -> Path:
    """The folder of the lexical memories of all repositories."""
    return home() / "memory"


def prepare() -> None:
    """Import Mem0, so that it asks nobody outside, and keeps its own file in adw's folder."""
    os.environ["MEM0_TELEMETRY"] = "False"  # on, it looks up outside hosts, and a process without network ends seconds later
    os.environ.setdefault("MEM0_DIR", str(home() / "mem0"))
    logging.getLogger("mem0").setLevel(logging.CRITICAL)  # it praises what is not installed, and logs memories; what goes wrong is raised, too
    import mem0  # noqa: F401, PLC0415


def lexical(folder: Path, scope: str) -> "Lexical":
    """Memories in a file, by their words."""
    prepare()
    from mem0 import Memory as Mem0  # noqa: PLC0415 - late, here and below
    from mem0.configs.base import EmbedderConfig, LlmConfig, MemoryConfig, VectorStoreConfig  # noqa: PLC0415
    from mem0.utils.factory import EmbedderFactory, LlmFactory, VectorStoreFactory  # noqa: PLC0415

    from adw.memory.fts import Fts, NoModel, Place  # noqa: PLC0415

    def named(kind: type) -> str:
        return f"{kind.__module__}.{kind.__name__}"

    VectorStoreFactory.provider_to_class["adw"] = named(Fts)
    EmbedderFactory.provider_to_class["adw"] = named(NoModel)
    LlmFactory.register_provider("adw", named(NoModel))
    store = VectorStoreConfig.model_construct(provider="adw", config=Place(path=str(folder)))  # unchecked: Mem0 has a list of the providers it knows
    embedder, llm = (kind.model_construct(provider="adw", config={}) for kind in (EmbedderConfig, LlmConfig))
    # A history in a file makes four writers three times slower, and nothing reads it.
    return Lexical(Mem0(MemoryConfig.model_construct(vector_store=store, embedder=embedder, llm=llm, history_db_path=":memory:")), scope)


def semantic(given: Mapping[str, Any], scope: str) -> "Mem0Store":
    """Memories wherever the user's own configuration of Mem0 has them."""
    prepare()
    from mem0 import Memory as Mem0  # noqa: PLC0415

    return Mem0Store(Mem0.from_config(dict(given)), scope)


def platform(key: str, scope: str, host: str | None = None) -> "Platform":
    """Memories on Mem0's platform."""
    prepare()
    from mem0 import MemoryClient  # noqa: PLC0415

    return Platform(MemoryClient(api_key=key, host=host, client=httpx.Client(timeout=TIMEOUT)), scope)


class Mem0Store:
    """The memories of one partition, `scope`, wherever Mem0 keeps them.

    Only our own store refuses duplicates and lost updates. For others it is looked before it is written: of two who write the
    same at the same moment, the last one wins, and what is there twice is recalled once.
    """

    def __init__(self, api: Any, scope: str) -> None:
        self._api, self._scope = api, {"user_id": scope}

    def recall(self, query: str, most: int) -> list[Memory]:
        """Those that fit a text best."""
        return _once(self._search(query, 2 * most))[:most] if query.strip() else []

    def add(self, memory: Memory) -> bool:
        """Keep a new one, unless the fact is known."""
        if self.known(memory.key):
            return False
        self._add(memory)
        return True

    def known(self, key: str) -> Memory | None:
        """The memory of a fact."""
        return next(iter(self._list({"key": key}, 1)), None)

    def update(self, memory: Memory) -> None:
        """Write one that is as it was read."""
        now = self._get(memory.id)
        if now is None or now.version != memory.version:
            raise Stale(memory.id)
        self._update(memory)

    def entries(self, kind: str = "") -> list[Memory]:
        """All that have not expired."""
        return _once(self._list({"expires_at": {"gt": time.time()}} | ({"kind": kind} if kind else {}), MOST))

    def forget(self, memory: Memory) -> None:
        """Remove one."""
        self._api.delete(memory.id)

    def purge(self) -> int:
        """Remove all that have expired."""
        old = self._list({"expires_at": {"lte": time.time()}}, MOST)
        for memory in old:
            with suppress(ValueError):  # another process purges, too
                self.forget(memory)
        return len(old)

    def clear(self) -> None:
        """Remove all."""
        self._api.delete_all(**self._scope)

    def _add(self, memory: Memory) -> None:
        self._api.add(memory.text, infer=False, metadata=memory.metadata(), **self._scope)

    def _update(self, memory: Memory) -> None:
        self._api.update(memory.id, text=memory.text, metadata=replace(memory, version=memory.version + 1).metadata())

    def _get(self, name: str) -> Memory | None:
        found = self._api.get(name)
        return Memory.of(found) if found else None

    def _search(self, query: str, most: int) -> list[Memory]:
        # Without a threshold: BM25's scores are next to nothing while there are few memories, and cosines differ by model.
        filters = {**self._scope, "expires_at": {"gt": time.time()}}
        return _ours(self._api.search(query, filters=filters, top_k=most, threshold=0.0)["results"])

    def _list(self, filters: Mapping[str, Any], most: int) -> list[Memory]:
        return _ours(self._api.get_all(filters={**self._scope, **filters}, top_k=most)["results"])


class Lexical(Mem0Store):
    """Memories in a file, by their words: several processes may write at once."""

    def add(self, memory: Memory) -> bool:
        """Keep a new one; the file itself holds each fact once."""
        try:
            self._add(memory)
        except sqlite3.IntegrityError:
            return False
        return True

    def update(self, memory: Memory) -> None:
        """Write one whose version is as it was read; the file itself compares."""
        try:
            self._update(memory)
        except ValueError as no:  # it is gone
            raise Stale(memory.id) from no


class Platform(Mem0Store):
    """Memories on Mem0's platform, which filters by the partition only, and takes up what is added a moment later."""

    def _get(self, name: str) -> Memory | None:
        from mem0.exceptions import MemoryNotFoundError  # noqa: PLC0415 - late

        with suppress(MemoryNotFoundError):
            return super()._get(name)
        return None

    def _search(self, query: str, most: int) -> list[Memory]:
        found = _ours(self._api.search(query, filters=self._scope, top_k=2 * most, threshold=0.0)["results"])
        return [memory for memory in found if memory.expires_at > time.time()]

    def _list(self, filters: Mapping[str, Any], most: int) -> list[Memory]:
        found: list[Memory] = []
        page = 1
        while len(found) < most:
            answer = self._api.get_all(filters=self._scope, page=page, page_size=PAGE)
            found += [memory for memory in _ours(answer["results"]) if _passes(memory, filters)]
            page += 1
            if not answer.get("next"):
                break
        return found[:most]


def _passes(memory: Memory, filters: Mapping[str, Any]) -> bool:
    """The filters that are used above, where nobody else applies them."""
    has = memory.metadata()
    for name, wanted in filters.items():
        if isinstance(wanted, dict):
            ((test, value),) = wanted.items()
            if (has[name] > value) is not (test == "gt"):
                return False
        elif has[name] != wanted:
            return False
    return True


def _ours(found: Sequence[Mapping[str, Any]]) -> list[Memory]:
    """What is a memory of adw's: others may keep theirs in the same place."""
    return [Memory.of(one) for one in found if {"kind", "key", "expires_at", "files"} <= (one.get("metadata") or {}).keys()]


def _once(found: Sequence[Memory]) -> list[Memory]:
    """Each fact once, as it comes first."""
    first: dict[str, Memory] = {}
    for memory in found:
        first.setdefault(memory.key, memory)
    return list(first.values())

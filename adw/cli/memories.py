"""What a person does with the memory of a repository; here its failures are errors."""

import json
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from adw.cli import api
from adw.cli.view import print_json
from adw.config import Config
from adw.errors import AdwError, Misuse
from adw.memory import stores, unfit
from adw.memory.border import Border
from adw.memory.model import DAY, FOREVER, KINDS, LONGEST, Memory, Store, keep
from adw.memory.partition import partition
from adw.mirror import Hub, find_hub
from adw.model import one_line

SHORT = 8  # characters of an id that are shown


def show(repo: Path, kind: str, *, as_json: bool) -> None:
    """List memories."""
    with _opened(repo, kind) as store:
        found = store.entries(kind)
    _print(found, as_json=as_json, nothing="nothing is remembered of this repository" + (f" of the kind {kind}" if kind else ""))


def search(repo: Path, query: str, kind: str, most: int, *, as_json: bool) -> None:
    """List those that fit a text."""
    if not query.strip():
        msg = "there is nothing to look for: give some words"
        raise Misuse(msg)
    with _opened(repo, kind) as store:
        found = [memory for memory in store.recall(query, most * (len(KINDS) if kind else 1)) if kind in {"", memory.kind}][:most]
    _print(found, as_json=as_json, nothing="nothing that is remembered fits")


def add(repo: Path, text: str, kind: str, files: Sequence[str]) -> None:
    """Have a person's words remembered."""
    text = (sys.stdin.read() if text == "-" else text).strip()
    if not text or len(text) > LONGEST:
        msg = f"a memory has 1 to {LONGEST} characters, and this one {len(text)}"
        raise Misuse(msg)
    if what := unfit.secret(text):
        msg = f"this is not remembered, as there is {what} in it: say where it is found instead"
        raise Misuse(msg)
    hub = find_hub(repo)
    memory = Memory(text=text, kind=kind, source="person", files=_blobs(hub, files))
    with _opened(repo, kind) as store:
        new = keep(store, memory, time.time())
        kept = store.known(memory.key)
    sys.stdout.write(f"{'remembered as' if new else 'known already, as'} {kept.id[:SHORT] if kept else 'something that shows in a moment'}\n")


def forget(repo: Path, ids: Sequence[str], *, everything: bool) -> None:
    """Forget some memories, or all."""
    if everything is bool(ids):
        msg = "name the memories to forget by their ids, as `adw memory list` shows them, or all of them with --all"
        raise Misuse(msg)
    with _opened(repo) as store:
        if everything:
            store.clear()
        else:
            for memory in _named(store.entries(), ids):
                store.forget(memory)
    sys.stdout.write("forgotten\n")


def export(repo: Path, kind: str) -> None:
    """Print memories as lines of JSON."""
    with _opened(repo, kind) as store:
        for memory in store.entries(kind):
            sys.stdout.write(json.dumps(asdict(memory), ensure_ascii=False) + "\n")


def state(hub: Hub, config: Config) -> str:
    """How the memory does, in a line; AdwError if it cannot be used."""
    if config.memory.mode == "off":
        return "off (memory.mode in adw.toml)"
    with _open(hub, config) as store:
        number = len(store.entries())
        return f"{config.memory.mode}, {number} {'memory' if number == 1 else 'memories'} of this repository"


def border(hub: Hub, config: Config, warn: Callable[[str], object]) -> Border:
    """The memory for who must not fail by it."""
    return Border(config.memory, lambda: stores.opened(config.memory, partition(hub), _secrets(config)), hub.mirror.blobs, warn)


@contextmanager
def _opened(repo: Path, kind: str = "") -> Iterator[Store]:
    """The memory of a repository, for the block; Misuse if it has none, or if there is no such kind."""
    if kind and kind not in KINDS:
        msg = f"there is no kind {kind!r} of memories: name one of {', '.join(KINDS)}"
        raise Misuse(msg)
    hub = find_hub(repo)
    config = hub.config()
    if config.memory.mode == "off":
        msg = "the memory of this repository is off: set memory.mode in adw.toml to lexical"
        raise Misuse(msg)
    with _open(hub, config) as store:
        yield store


@contextmanager
def _open(hub: Hub, config: Config) -> Iterator[Store]:
    try:
        yield stores.opened(config.memory, partition(hub), _secrets(config))
    except AdwError:
        raise
    except (OSError, sqlite3.Error) as no:
        msg = f"the memory in {stores.place()} cannot be used: {no}"
        raise AdwError(msg) from no
    except Exception as no:
        msg = f"the memory ({config.memory.mode}) cannot be used: {type(no).__name__}: {no}"
        raise AdwError(msg) from no


def _secrets(config: Config) -> dict[str, str]:
    """What Mem0 needs, of the environment, or else of Prefect."""
    wanted = config.memory.secrets
    given = {variable: os.environ[variable] for variable in wanted if os.environ.get(variable)}
    if len(given) == len(wanted):
        return given
    with api.joined():
        from tasks.secrets import of_memory  # noqa: PLC0415

        return of_memory(config)


def _blobs(hub: Hub, files: Sequence[str]) -> dict[str, str]:
    """Files with their blobs on the branch; Misuse if one is not there."""
    found = hub.git.blobs(hub.ref, files)
    if missing := [file for file in files if file not in found]:
        msg = f"there is no file {missing[0]!r} on {hub.branch}: name it as git does, relative to the repository, and commit it first"
        raise Misuse(msg)
    return found


def _named(memories: Sequence[Memory], ids: Sequence[str]) -> list[Memory]:
    """The memories whose ids begin so; Misuse if one fits none, or several."""
    found = []
    for name in ids:
        fits = [memory for memory in memories if memory.id.startswith(name)]
        if len(fits) != 1:
            msg = f"{'several memories have ids that begin' if fits else 'no memory has an id that begins'} with {name!r}: see `adw memory list`"
            raise Misuse(msg)
        found += fits
    return found


def _print(found: Sequence[Memory], *, as_json: bool, nothing: str) -> None:
    if as_json:
        print_json([asdict(memory) for memory in found])
        return
    if not found:
        sys.stdout.write(f"{nothing}\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "kind", "by", "since", "for", "memory"):
        table.add_column(name, no_wrap=name != "memory")
    for memory in found:
        table.add_row(*(Text(cell) for cell in (memory.id[:SHORT], memory.kind, memory.source, memory.created[:10], _left(memory), one_line(memory.text))))
    Console().print(table)


def _left(memory: Memory) -> str:
    """How long it will last."""
    seconds = memory.expires_at - time.time()
    if memory.expires_at >= FOREVER:
        return "ever"
    return f"{seconds / DAY:.0f} d" if seconds > DAY else f"{seconds / 3600:.1f} h"

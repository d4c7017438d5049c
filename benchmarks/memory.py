"""How fast memories are recalled, whether several writers lose any, and how often the right one is among the first five.

    python -m benchmarks.memory

The labelled memories are in `memories.jsonl`, each with three ways to ask for it: keywords, the text of an issue for which it
would be of use, and a paraphrase that shares no telling word with it. The others are made up from the words of this
repository's own files, by a seed. Everything is done with the lexical memory, below the border that a run has.
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import quantiles

from adw.config import MemoryConfig
from adw.memory import stores
from adw.memory.border import Border
from adw.memory.model import KINDS, Memory, Store

HERE = Path(__file__).parent
SIZES = (1_000, 10_000)
ASKED = 300  # recalls that are timed
WRITERS, EACH = 4, 250
AIM = 0.050  # seconds, for 95 of 100 recalls among 10,000
SCOPE = "repo:benchmark"
WAYS = ("keywords", "prompt", "paraphrase")
WRITE = """
import sys
from pathlib import Path
from adw.memory import stores
from adw.memory.model import Memory
store = stores.lexical(Path(sys.argv[1]), "repo:written")
print("ready", flush=True)
sys.stdin.readline()
for n in range(int(sys.argv[3])):
    assert store.add(Memory(text=f"writer {sys.argv[2]} found fact {n}", kind="convention"))
"""


def words() -> list[str]:
    """The words of this repository's documentation and code, as often as they come."""
    files = [*HERE.parent.glob("*.md"), *(HERE.parent / "docs").rglob("*.md"), *(HERE.parent / "adw").rglob("*.py")]
    return [word for file in sorted(files) for word in re.findall(r"[A-Za-z][A-Za-z_]+", file.read_text(encoding="utf-8"))]


def made_up(number: int) -> list[Memory]:
    """Memories of 10 to 60 words."""
    luck, known = random.Random(8), words()  # noqa: S311 - the same ones each time
    return [
        Memory(text=f"{' '.join(luck.choices(known, k=luck.randint(10, 60)))} ({n})", kind=luck.choice(KINDS), source="agent", expires_at=9e9)
        for n in range(number)
    ]


def labelled() -> list[dict[str, str]]:
    """The memories that are asked for."""
    return [json.loads(line) for line in (HERE / "memories.jsonl").read_text(encoding="utf-8").splitlines()]


def found(store: Store, way: str) -> int:
    """How many of the labelled memories are among the first five."""
    return sum(one["memory"] in {memory.text for memory in store.recall(one[way], 5)} for one in labelled())


def question(prompts: Sequence[str], n: int) -> tuple[str, str]:
    """Another one each time, of the words of two issues."""
    return f"{prompts[n % len(prompts)]} {prompts[(n * 7 + n // len(prompts)) % len(prompts)]}", ""


def timed(store: Store) -> list[float]:
    """Seconds that recalls took, by the texts of issues, through the border of a run."""
    border = Border(MemoryConfig(), lambda: store, lambda _commit, _paths: {}, print, limit=60.0)
    border.recall(lambda: ("warm", ""))
    prompts = [one["prompt"] for one in labelled()]
    took = []
    for n in range(ASKED):
        began = time.perf_counter()
        border.recall(partial(question, prompts, n))
        took.append(time.perf_counter() - began)
    return took


def written(folder: Path) -> tuple[int, float]:
    """How many memories are there after several processes have written at once, and how long that took."""
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITE, str(folder), str(n), str(EACH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for n in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout  # noqa: S101
        writer.stdout.readline()
    began = time.perf_counter()
    for writer in writers:
        assert writer.stdin  # noqa: S101
        writer.stdin.write("go\n")
        writer.stdin.flush()
    statuses = [writer.wait() for writer in writers]
    took = time.perf_counter() - began
    return len(stores.lexical(folder, "repo:written").entries()) if not any(statuses) else 0, took


def main() -> int:
    """Print the figures; exit status 1 if memories were lost, or recalls are slower than the aim."""
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"{cores} cores, load {load:.1f} at the start\n")
    with tempfile.TemporaryDirectory() as home:
        os.environ["ADW_HOME"] = home
        store = stores.lexical(Path(home, "memory"), SCOPE)
        for one in labelled():
            store.add(Memory(text=one["memory"], kind=one["kind"], source="agent"))
        others, there = made_up(max(SIZES)), 0
        print(f"{'memories':>8}  {'p50':>7}  {'p95':>7}  " + "  ".join(f"{f'recall@5 {way}':>20}" for way in WAYS))
        p95 = 0.0
        for size in SIZES:
            wanted = size - len(labelled())
            for memory in others[there:wanted]:
                store.add(memory)
            there, took = wanted, timed(store)
            p95 = quantiles(took, n=20)[-1]
            hits = [f"{found(store, way)} of {len(labelled())}" for way in WAYS]
            print(f"{size:>8}  {quantiles(took, n=2)[0] * 1000:>4.1f} ms  {p95 * 1000:>4.1f} ms  " + "  ".join(f"{hit:>20}" for hit in hits))
        kept, seconds = written(Path(home, "memory"))
        print(f"\n{WRITERS} processes wrote {EACH} memories each into the same file in {seconds:.1f} s: {kept} of {WRITERS * EACH} are there")
    print(f"load {os.getloadavg()[0]:.1f} at the end")
    return 0 if kept == WRITERS * EACH and p95 < AIM else 1


if __name__ == "__main__":
    sys.exit(main())

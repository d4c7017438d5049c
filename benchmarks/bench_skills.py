"""The skills of the benchmark's workflow, as a plug-in of adw: each waits, and finds nothing. `waits.json` beside it names them."""

import json
import os
from pathlib import Path

import anyio

from adw.skills import Finding, Given, skill


def waiting(name: str, seconds: float, after: list[str]) -> None:
    """A skill that waits, as for a model; not where nothing is to be waited for (`benchmarks/workload.py:TEST_SECONDS`)."""

    @skill(name, version=f"{seconds:g}", about="waits", scope="tree", after=tuple(after))
    async def waits(_given: Given) -> list[Finding]:
        await anyio.sleep(seconds if float(os.environ.get("BENCH_TEST_SECONDS", "0")) else 0)
        return []


for one in json.loads(Path(__file__).with_name("waits.json").read_text(encoding="utf-8")):
    waiting(**one)

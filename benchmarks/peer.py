"""A peer at the same features: agent-conductor of PyPI, driven without a key. Its model, on loopback, and its agents only wait.

It has one model plan for two agents, runs both at once, each in a worktree, and merges their branches; it tests nothing. So its
planner takes the minutes of plan, and each agent those of build, test and review, as if it did these by itself.
"""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from adw.errors import AdwError, Misuse
from benchmarks.journals import Event
from benchmarks.workload import Workload

PROGRAM = "agent-conductor"
INSTALL = f"{PROGRAM} is not installed: `uv tool install {PROGRAM}==0.3.2`"
AGENT = """#!/bin/sh
sleep {seconds}
name="${{PWD##*/claude-}}"
echo "$name" > "features/$name.txt"
"""


def deliver(folder: Path, workload: Workload) -> list[Event]:
    """Have it deliver two features; what happened, in adw's words. Misuse if it is not installed."""
    if not shutil.which(PROGRAM):
        raise Misuse(INSTALL)
    program = folder / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(AGENT.format(seconds=sum(workload.seconds[phase] for phase in ("build", "test", "review"))))
    program.chmod(0o755)
    began = time.time()
    with planner(list(workload.edits), workload.seconds["plan"]) as url:
        env = {**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "ZEN_API_KEY": "none", "ZEN_BASE_URL": url}
        argv = [PROGRAM, "--dir", str(folder / "hub"), "--agents", "claude,claude", "two features"]
        done = subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)
    if done.returncode or workload.missing(folder / "hub"):
        msg = f"{PROGRAM} did not deliver {', '.join(workload.missing(folder / 'hub')) or 'well'} (status {done.returncode}): {(done.stdout + done.stderr)[-2000:]}"
        raise AdwError(msg)
    return [{"event": "flow started", "timestamp": began}, {"event": "outcome", "timestamp": time.time()}]


@contextmanager
def planner(names: list[str], seconds: float) -> Iterator[str]:
    """For the block, a model that plans a task for each feature after a while; its address."""
    tasks = [{"agent": "claude", "name": name, "summary": name, "prompt": name, "paths": []} for name in names]
    answer = {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps({"project": "bench", "tasks": tasks})}}]}

    class Model(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            time.sleep(seconds)
            body = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "none", **answer}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()

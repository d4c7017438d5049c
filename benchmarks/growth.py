"""Whether 500 issues in one run cost ten times what 50 do: `make bench-growth`.

Agents and tests that are over at once: all that is left is adw's own. For runs of more and more issues, each from nothing (a new
ADW_HOME and repository): the time of an issue, the memory of adw's processes at most (PSS: each page once), their CPU time, and the
requests to the Prefect server. And what the live table shows when half of the issues have ended. Exit status 1 if a limit is not met.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from adw.cli.view import LiveView
from adw.progress import Progress
from benchmarks.machine import Book
from benchmarks.runs import more_issues

SIZES = "50,100,200,500"
SCREENS = ((80, 24), (120, 40))


def frame(progress: Progress, width: int, height: int) -> str:
    """What the live table shows now on a screen of a size."""
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None, record=True)
    view = LiveView(console)
    view.tick(progress)
    console.print(view._live.renderable)  # noqa: SLF001 - what it draws in place, drawn once
    return console.export_text()


def main() -> int:
    """Measure, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description="What an issue costs in runs of more and more of them.")
    parser.add_argument("--sizes", default=SIZES, help=f"issues in a run, separated by commas ({SIZES})")
    parser.add_argument("--out", type=Path, default=Path("bench-growth.jsonl"), help="the file that the results are added to, as JSON lines")
    given = parser.parse_args()
    book = Book("growth", given.out.absolute())
    frames: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as name:
        seen = more_issues(
            Path(name),
            book,
            [int(size) for size in given.sizes.split(",")],
            lambda progress: frames.update({width: frame(progress, width, height) for width, height in SCREENS}),
        )
    for width, text in frames.items():
        print(f"\n--- {width} columns, half of the issues of the largest run ended ---\n{text}")
    book.note(seen, frames=frames)
    return 0 if book.met else 1


if __name__ == "__main__":
    sys.exit(main())

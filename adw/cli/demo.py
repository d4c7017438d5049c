"""`adw demo`: the main job on a small project, with nothing to set up."""

import io
import re
import sys
import time
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from adw import demo as project
from adw.cli.deliver import prepared
from adw.cli.supervise import supervise
from adw.cli.table import table
from adw.cli.view import summary
from adw.errors import Misuse
from adw.issues import markdown
from adw.mirror import find_hub
from adw.progress import Progress

NAME = "adw-demo"
WIDTH = 120  # columns of the picture
FIRST = "{number} issues for {repository}; a scripted agent, real git, real tests"
LAST = "the project is in {repository} (`git log` there shows what landed); once more: adw demo --again {folder}"


def demo(folder: Path, *, again: bool, svg: Path | None) -> int:
    """Write the project, unless it is to be run again, and deliver its issues."""
    folder = (_last() if again else _new()) if folder == Path() else folder
    if again and not (folder / "shelf").is_dir():
        msg = f"there is no demo in {folder.absolute()}: run it first without --again"
        raise Misuse(msg)
    repository = folder / "shelf" if again else project.write(folder)
    console = Console()
    hub = find_hub(repository)
    issues = markdown.read_all([str(folder / "issues")])
    journal = prepared(hub, issues, {})
    console.print(FIRST.format(number=len(issues), repository=repository.absolute()), highlight=False, soft_wrap=True)
    began = time.monotonic()
    status = supervise(journal, console)
    console.print(LAST.format(repository=repository.absolute(), folder=folder), soft_wrap=True, highlight=False)
    if svg:
        picture(svg, journal.progress(), time.monotonic() - began)
    return status


def picture(svg: Path, progress: Progress, seconds: float) -> None:
    """What the terminal shows at the end of a run, as an SVG file; the folders in it are made short."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print("$ make demo", highlight=False)
    console.print(FIRST.format(number=len(progress.rows), repository="adw-demo/shelf"), highlight=False)
    console.print(table(progress, progress.last))
    summary(console, progress, seconds)
    console.print(LAST.format(repository="adw-demo/shelf", folder="adw-demo"), highlight=False)
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # a picture loads nothing from elsewhere
    console.save_svg(str(svg), title="adw demo", code_format=without_fonts)


def _new() -> Path:
    """A folder name that is not taken."""
    return next(path for path in (Path(NAME if n == 1 else f"{NAME}-{n}") for n in range(1, sys.maxsize)) if not path.exists())


def _last() -> Path:
    """The demo folder that was made last; Misuse if there is none."""
    found = sorted(Path().glob(f"{NAME}*"), key=lambda path: path.stat().st_mtime)
    if not found:
        msg = "there is no demo here to run again: run `adw demo` first, or name its folder"
        raise Misuse(msg)
    return found[-1]

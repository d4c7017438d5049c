"""`adw demo`: the main job on a small project, with nothing to set up."""

import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from adw import demo as project
from adw.cli.deliver import check
from adw.cli.supervise import new_run, supervise
from adw.errors import Misuse
from adw.issues import markdown
from adw.mirror import find_hub

NAME = "adw-demo"
FLAGS = {"agents": None, "agent": None, "agent_command": None, "test_command": None, "tries": None, "allow_red_base": False}


def demo(folder: Path, *, again: bool, svg: Path | None) -> int:
    """Write the project, unless it is to be run again, and deliver its issues."""
    folder = (_last() if again else _new()) if folder == Path() else folder
    if again and not (folder / "shelf").is_dir():
        msg = f"there is no demo in {folder.absolute()}: run it first without --again"
        raise Misuse(msg)
    repository = folder / "shelf" if again else project.write(folder)
    console = Console(record=svg is not None, width=110 if svg else None, force_terminal=True if svg else None)
    hub = find_hub(repository)
    issues = markdown.read_all([str(folder / "issues")])
    check(hub, issues, FLAGS)
    console.print(f"{len(issues)} issues for {repository}; a scripted agent, real git, real tests", highlight=False)
    journal = new_run(hub, {"repository": str(repository.absolute()), "issues": [asdict(issue) for issue in issues], "branch": hub.branch, **FLAGS})
    status = supervise(journal, console)
    console.print(
        f"the project is in {repository.absolute()} (`git log` there shows what landed); once more: adw demo --again {folder}", soft_wrap=True, highlight=False
    )
    if svg:
        console.save_svg(str(svg), title="adw demo")
    return status


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

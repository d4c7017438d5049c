"""Pictures of runs and of benchmarks: plain data in, an SVG or PNG file out, by the suffix of its name.

    gantt.draw(file, timeline)              the phases of a run by slot and by issue, with the critical path
    resources.draw(file, windows, timeline) what a run used over time
    levels.speed_up(file, curves, …)        how many times as fast with how many agents
    levels.bars(file, title, unit, levels)  amounts by level, such as money

The modules here import matplotlib, which takes half a second and tens of megabytes: they are imported when something is drawn.
"""

import os
from pathlib import Path

from adw.errors import Misuse

KINDS = (".svg", ".png")


def drawable(file: Path) -> Path:
    """The file, if a picture can be written there; Misuse if not. To be asked before the work whose picture it is to be."""
    if file.suffix.lower() not in KINDS:
        msg = f"a picture is an SVG or PNG file, and {file} is neither: name it {file.with_suffix('.svg').name}"
        raise Misuse(msg)
    if file.is_dir() or not file.absolute().parent.is_dir() or not os.access(file if file.exists() else file.absolute().parent, os.W_OK):
        msg = f"cannot write a picture to {file}: name a file in a folder that is there and that you may write to"
        raise Misuse(msg)
    return file

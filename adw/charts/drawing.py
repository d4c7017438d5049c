"""What all pictures have in common: their colours, which differ for those who do not see red and green, too, and how they are written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import Locator

from adw.errors import AdwError

# By Okabe and Ito, in the order of the phases.
BLUE, ORANGE, GREEN, PURPLE, SKY, YELLOW, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#F0E442", "#D55E00"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY, RED, YELLOW)
INK, GREY, PALE = "#222222", "#8A8A8A", "#D4D4D4"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud, and the file is a third of the size
    "svg.hashsalt": "adw",  # the same data makes the same file
    "svg.id": "adw",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "sans-serif"],
    "font.size": 9.0,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.7,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.linewidth": 0.6,
    "legend.frameon": False,
    "figure.facecolor": "white",
}
DPI = 120
TICKS = 14  # at most, along a time
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400, 604800)


@contextmanager
def drawn(file: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of so many inches for the block, and its file behind it. AdwError if that cannot be written."""
    with mpl.rc_context():
        mpl.rcdefaults()  # matplotlib reads a `matplotlibrc` of the folder that it is called in, as of the user's repository
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        kind, picture = file.suffix.lower().removeprefix("."), BytesIO()
        undated: dict[str, Any] = {"metadata": {"Date": None}} if kind == "svg" else {}
        figure.savefig(picture, format=kind, dpi=DPI, **undated)
    try:
        file.write_bytes(picture.getvalue())
    except OSError as no:
        msg = f"cannot write the picture {file}: {no.strerror}"
        raise AdwError(msg) from no


def stacked(figure: Figure, heights: Sequence[float], **shared: Any) -> list[Axes]:
    """Panels, one below the other."""
    return list(figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)}, **shared)[:, 0])


class Clock(Locator):
    """Ticks at times that people count in."""

    def __call__(self) -> Sequence[float]:
        """Those of the axis as it is."""
        return self.tick_values(*cast("Axis", self.axis).get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> Sequence[float]:
        """The ticks between two times."""
        each = next((step for step in STEPS if (vmax - vmin) / step <= TICKS), STEPS[-1])
        return [each * number for number in range(int(vmin // each), int(vmax // each) + 1)]


def clock(seconds: float, _position: object = None) -> str:
    """Seconds as a tick says them: 45 s, 2:30, 1:02:30."""
    whole = round(abs(seconds), 1)
    if whole < 60:  # noqa: PLR2004
        return f"{whole:g} s"
    minutes, rest = divmod(int(whole), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"  # noqa: PLR2004

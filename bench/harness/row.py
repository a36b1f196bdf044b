"""What a benchmark is: sides that run in turn, and lines of the table that compare them."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of the table: one figure of a row, and what it has to reach."""

    title: str
    figure: str
    unit: str
    # Whether more is better; otherwise less is.
    more: bool = False
    # What Otaru has to reach: a ratio to the baseline, or without one the figure itself.
    reach: float | None = None
    goal: float | None = None
    baseline: str | None = None
    # Further sides whose figure is shown.
    beside: tuple = ()
    # The figure with the CPU time for an operation, and its unit.
    cpu: str | None = None
    cpu_unit: str = "µs"

    def bound(self):
        """The bound in words."""
        if self.reach is None:
            return "–"
        sign = "≥" if self.more else "≤"
        factor = " ×" if self.baseline else f" {self.unit}"
        goal = f" [{self.goal:g}]" if self.goal is not None else ""
        return f"{sign} {self.reach:g}{factor}{goal}"

    def is_reached(self, value):
        """`None` when nothing is to be reached."""
        if self.reach is None or value is None:
            return None
        return value >= self.reach if self.more else value <= self.reach


class Row:
    """A benchmark. Each of `sides` runs in turn, as often as asked for."""

    name = ""
    sides = ("otaru",)
    # Programs that have to be installed.
    needs = ()
    # Runs of each side before those that count.
    warm = 0
    lines = ()

    def __init__(self, bench):
        self.bench = bench

    def prepare(self):
        """What all runs share."""

    def run(self, side):
        """One run; its figures by name."""
        raise NotImplementedError

    def close(self):
        """Ends what `prepare` started."""


class Outcome:
    """The figures of all runs of a row."""

    def __init__(self, row):
        self.row, self.runs = row, {side: [] for side in row.sides}
        self.fdatasync_us, self.others, self.busiest = [], [], set()
        self.note = ""

    def median(self, side, figure):
        """The median of a figure, or `None` when the side has none."""
        found = [run[figure] for run in self.runs.get(side, []) if run.get(figure) is not None]
        return statistics.median(found) if found else None

    def ratio(self, line):
        """Otaru's median by the baseline's; without a baseline the median itself."""
        ours = self.median("otaru", line.figure)
        if line.baseline is None:
            return ours
        theirs = self.median(line.baseline, line.figure)
        return ours / theirs if ours is not None and theirs else None

    def spread(self, line):
        """The least and the most of Otaru's runs."""
        found = [run[line.figure] for run in self.runs["otaru"] if run.get(line.figure) is not None]
        return (min(found), max(found)) if found else None

"""The command line: which rows, how often, how large."""

import argparse
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

from . import machine, programs, table
from .row import Outcome
from .rows import ROWS


class Bench:
    """What all rows share: sizes, the binaries, a folder on the disk."""

    def __init__(self, options, binaries, folder):
        self.options, self.binaries, self.folder = options, binaries, pathlib.Path(folder)
        self.open_files = programs.raise_open_files()
        self.running, self._serial = [], 0

    def sized(self, count, least=1):
        """A number of the issue's, scaled."""
        return max(least, int(count * self.options.scale))

    def connections(self, count):
        """As many devices as asked for, scaled, and as one process may hold."""
        return min(self.sized(count), self.open_files - 200)

    def seconds(self, seconds):
        """How long a run lasts."""
        return max(1, int(seconds * self.options.time))

    def place(self, name):
        """A new folder."""
        self._serial += 1
        path = self.folder / f"{self._serial}-{name}"
        path.mkdir(parents=True)
        return path

    def start(self, program):
        """Starts a program, which is ended at the latest with the run."""
        if program not in self.running:
            self.running.append(program)
        return program.start()

    def otaru(self, *settings):
        """A server on a new folder."""
        return self.start(programs.Otaru(self.place("otaru"), self.binaries, *settings))

    def servers_seconds(self):
        """CPU time of the servers that run now; when one ends, its time moves to that of our children."""
        return sum(program.cpu_seconds() for program in self.running if program.process is not None)

    def close(self):
        for program in self.running:
            program.end()


def measure(bench, row, runs, say):
    """All runs of a row, its sides in turn."""
    outcome = Outcome(row)
    row.prepare()
    for turn in range(-row.warm, runs):
        for side in row.sides:
            fdatasync_us = machine.fdatasync_us(bench.folder)
            others, before = machine.Others(), bench.servers_seconds()
            figures = row.run(side)
            share, busiest = others.share(bench.servers_seconds() - before)
            say(f"{row.name} {side} {'warm-up' if turn < 0 else turn + 1}: {json.dumps(figures)}")
            if turn < 0:
                continue
            outcome.runs[side].append(figures)
            outcome.fdatasync_us.append(fdatasync_us)
            outcome.others.append(share)
            outcome.busiest.update(busiest)
    outcome.note = row.note() if hasattr(row, "note") else ""
    return outcome


def options(arguments):
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="bench/run", description=__doc__, epilog=f"rows: {', '.join(names)}")
    parser.add_argument("rows", nargs="*", metavar="NAME", help="rows to run; all when none is named")
    parser.add_argument("--runs", type=int, default=5, help="runs of each side, of which medians are taken (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="numbers of devices and tasks by this factor (1)")
    parser.add_argument("--time", type=float, default=1.0, help="seconds of each run by this factor (1)")
    parser.add_argument("--out", type=pathlib.Path, help="file for the table (target/bench/figures.md); runs beside it as .json")
    parser.add_argument("--profile", choices=["release", "debug"], default="release", help="build that is measured (release)")
    parser.add_argument("--tls", choices=["openssl", "aws-lc"], default="openssl", help="library under TLS (openssl); aws-lc needs libclang")
    parser.add_argument("--binaries", type=pathlib.Path, help="folder of binaries that are there already, instead of a build")
    parser.add_argument("--keep", action="store_true", help="leave the folders of the servers")
    chosen = parser.parse_args(arguments)
    if unknown := [name for name in chosen.rows if name not in names]:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(names)}")
    if chosen.runs < 1 or chosen.scale <= 0 or chosen.time <= 0:
        parser.error("--runs, --scale and --time are more than 0")
    return chosen


def run(arguments, _environment):
    chosen = options(arguments)
    rows = [row for row in ROWS if not chosen.rows or row.name in chosen.rows]
    say = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731
    programs.install(sorted({need for row in rows for need in row.needs}))
    binaries = chosen.binaries.resolve() if chosen.binaries else programs.build(chosen.profile, chosen.tls)
    base = programs.TARGET / "bench"
    base.mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="run-", dir=base)
    bench = Bench(chosen, binaries, folder)
    outcomes, failed, skipped, begun = [], [], [], time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    try:
        for kind in rows:
            row = kind(bench)
            try:
                outcomes.append(measure(bench, row, chosen.runs, say))
            except programs.Skipped as why:
                skipped.append(f"{row.name}: {why}")
                say(f"{row.name} skipped: {why}")
            except programs.Failed as why:
                failed.append(f"{row.name}: {why}")
                say(f"{row.name} failed: {why}")
            finally:
                row.close()
    finally:
        bench.close()
        if not chosen.keep:
            shutil.rmtree(folder, ignore_errors=True)
    head = [
        machine.describe(),
        f"commit {machine.commit(programs.ROOT)}, {chosen.binaries or chosen.profile + ' build'}, TLS by {chosen.tls}, {begun}",
        f"medians of {chosen.runs} interleaved runs, `bench/run {' '.join(arguments)}`".replace(" `bench/run `", " `bench/run`"),
        f"scale {chosen.scale:g}, time {chosen.time:g}; load average at the end {os.getloadavg()[0]:.1f}",
        *[f"failed: {why}" for why in failed],
        *[f"skipped: {why}" for why in skipped],
    ]
    page = table.render(head, outcomes)
    out = chosen.out or base / "figures.md"
    out.write_text(page, encoding="utf-8")
    raw = {outcome.row.name: {"runs": outcome.runs, "fdatasync_us": outcome.fdatasync_us, "others": outcome.others} for outcome in outcomes}
    out.with_suffix(".json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
    print(page, end="")
    return 1 if failed else 0

"""The engine on PostgreSQL, beside what the same cluster does by itself."""

import pathlib
import re
import shutil
import subprocess

from .. import programs
from ..row import Line
from .devices import Reports

CLIENTS = 64


def place(program):
    """A program of PostgreSQL, which Debian keeps out of the path."""
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name))
    found = folders[-1] / program if folders else None
    return found if found and found.exists() else shutil.which(program)


class Cluster:
    """A cluster of its own with the settings of `initdb`: what it commits is synced."""

    script = programs.ROOT / "tests" / "support" / "postgres"

    def __init__(self, folder):
        self.folder, self.url = folder, None

    def start(self):
        # The server's user has to reach the folder.
        for parent in [self.folder, *self.folder.parents][:3]:
            if parent.stat().st_uid == programs.os.geteuid():
                parent.chmod(0o755)
        self.url = self._script("start").strip()
        return self

    def end(self):
        if self.url:
            self._script("stop", "immediate")
            self.url = None

    def _script(self, *arguments):
        done = subprocess.run([self.script, arguments[0], self.folder, *arguments[1:]], capture_output=True, text=True)
        if done.returncode:
            raise programs.Failed(f"PostgreSQL: {done.stderr.strip()[-300:]}")
        return done.stdout

    def psql(self, *statements):
        """The answer of the last statement, bare."""
        commands = [part for statement in statements for part in ("-c", statement)]
        done = subprocess.run([place("psql"), self.url, "-qAtX", "-v", "ON_ERROR_STOP=1", *commands], capture_output=True, text=True)
        if done.returncode:
            raise programs.Failed(f"psql: {done.stderr.strip()[-300:]}")
        return done.stdout.strip()


class PostgresReports(Reports):
    name = "postgres-reports"
    sides = ("otaru", "pgbench")
    needs = ()
    lines = (
        Line("durable progress reports on PostgreSQL; pgbench: single-row updates of as many rows by 64 clients", "per_second", "/s",
             more=True, reach=3, goal=8, baseline="pgbench", cpu="cpu_us"),
    )

    def prepare(self):
        missing = [program for program in ("initdb", "psql", "pgbench") if not place(program)]
        if missing:
            raise programs.Skipped(f"PostgreSQL is not installed: {', '.join(missing)} not found; on Debian it is the package postgresql")
        self.cluster = Cluster(self.bench.place("postgres")).start()
        self.settings = (*self.settings, "--store", self.cluster.url)
        super().prepare()
        self.cluster.psql(
            "CREATE TABLE bench (no bigint PRIMARY KEY, progress bigint NOT NULL, modified_at bigint NOT NULL)",
            f"INSERT INTO bench SELECT no, 0, 0 FROM generate_series(1, {self.count}) no",
            "VACUUM ANALYZE bench",
        )

    def run(self, side):
        if side == "otaru":
            return super().run(side)
        self.home.end()
        script = self.cluster.folder / "update.sql"
        script.write_text(f"\\set no random(1, {self.count})\nUPDATE bench SET progress = progress + 1, modified_at = 5 WHERE no = :no;\n")
        done = subprocess.run([place("pgbench"), "-M", "prepared", "-n", "-c", str(CLIENTS), "-j", "2", "-T", str(self.bench.seconds(10)),
                               "-f", script, self.cluster.url], capture_output=True, text=True)
        rate = re.search(r"tps = ([\d.]+)", done.stdout)
        if done.returncode or not rate:
            raise programs.Failed(f"pgbench: {done.stderr.strip()[-300:]}")
        return {"per_second": float(rate[1])}

    def close(self):
        if home := getattr(self, "home", None):
            home.end()
        if cluster := getattr(self, "cluster", None):
            cluster.end()

    def note(self):
        return f"{self.count} devices, each with one report on its way; fsync on; the CPU is the server's, without PostgreSQL's"

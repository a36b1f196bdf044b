"""PostgreSQL for tests: clusters of our own, and a database for each data folder."""

import hashlib
import os
import pathlib
import subprocess
import tempfile
import urllib.parse

SCRIPT = pathlib.Path(__file__).with_name("postgres")

# Where the suite keeps all its servers' rows, when it is run on PostgreSQL.
SHARED = os.environ.get("OTARU_TEST_POSTGRES")


def sql(url, *statements):
    """Runs statements; returns what they print, a line per row, columns parted by `|`."""
    command = ["psql", url, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]
    for statement in statements:
        command += ["--command", statement]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def database(cluster_url, name):
    """The URL of a database of that name, made when there is none."""
    if not sql(cluster_url, f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        sql(cluster_url, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    return urllib.parse.urlunsplit(urllib.parse.urlsplit(cluster_url)._replace(path=f"/{name}"))


def database_for(folder):
    """The database of a data folder, when the suite is run on PostgreSQL."""
    return SHARED and database(SHARED, "t" + hashlib.sha256(str(folder).encode()).hexdigest()[:20])


class Cluster:
    """A PostgreSQL of one test, which it may stop, crash and start again."""

    def __init__(self):
        # Its own user has to get there, which the folders of tests don't let him.
        self.folder = tempfile.mkdtemp(prefix="otaru-pg-")
        self.url = None

    def start(self):
        self.url = self._run("start").strip()
        return self

    def stop(self, mode="fast"):
        self._run("stop", mode)

    def close(self):
        try:
            self.stop("immediate")
        except subprocess.CalledProcessError:
            pass  # It was stopped already.
        subprocess.run(["rm", "-r", "--", self.folder], check=True)

    def database(self, name="otaru"):
        return database(self.url, name)

    def _run(self, *arguments):
        command = [str(SCRIPT), arguments[0], self.folder, *arguments[1:]]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout

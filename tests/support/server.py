"""The real server as a child process: started on free ports, ended by its own process id."""

import os
import pathlib
import re
import select
import signal
import subprocess
import time

import postgres

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY_ID = "otaruTestKeyId"
KEY_SECRET = "otaruTestKeySecret"

# Only ends a run that hangs. It is so long that no slow machine meets it, and no test asserts on it.
HANG_SECONDS = 60


def binary():
    """The program under test: OTARU_BIN, else the debug build of this tree."""
    return os.environ.get("OTARU_BIN") or str(ROOT / "target" / "debug" / "otaru")


def wait_for(what, check):
    """Ask `check` until it answers something true, and return that."""
    end = time.monotonic() + HANG_SECONDS
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {HANG_SECONDS} s in vain: {what}")
        time.sleep(0.05)


class Server:
    """`otaru serve` on one data folder. `kill` and `start` again keep folder and ports.

    `store`: the URL of its database; without one its rows are in the folder, or in a database of the whole suite's."""

    def __init__(self, folder, *arguments, store=None):
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.arguments = arguments
        self.store = store or postgres.database_for(self.data)
        self.process = None
        self.http = self.mqtt = "127.0.0.1:0"
        self.metrics = self.https = self.mqtts = None

    @property
    def mqtt_port(self):
        return int(self.mqtt.rsplit(":", 1)[1])

    @property
    def mqtts_port(self):
        return int(self.mqtts.rsplit(":", 1)[1])

    @property
    def ca(self):
        """The file of the CA that the server has made for itself."""
        return self.data / "tls" / "ca.pem"

    @property
    def url(self):
        return f"http://{self.http}"

    def start(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OTARU_")}
        environment |= {"OTARU_ACCESS_KEY_ID": KEY_ID, "OTARU_ACCESS_KEY_SECRET": KEY_SECRET}
        command = [binary(), "serve", "--data", str(self.data), "--http", self.http, "--mqtt", self.mqtt, *self.arguments]
        if self.store:
            command += ["--store", self.store]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=environment)
        line = self._ready_line()
        self.http = re.search(r"\bhttp=(\S+)", line)[1]
        self.mqtt = re.search(r"\bmqtt=(\S+)", line)[1]
        metrics = re.search(r"\bmetrics=(\S+)", line)
        self.metrics = metrics and metrics[1]
        for name in ("https", "mqtts"):
            address = re.search(rf"\b{name}=(\S+)", line)
            setattr(self, name, address and address[1])
        return self

    def _ready_line(self):
        # Unbuffered reads: what follows the line stays in the pipe for whoever reads on.
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], HANG_SECONDS)
            byte = os.read(self.process.stdout.fileno(), 1) if readable else b""
            if not byte:
                self.kill()
                raise AssertionError(f"the server did not get ready; its log ends:\n{self.log_tail()}")
            line += byte
            if line.endswith(b"\n") and not line.startswith(b"ready "):
                line = b""
        return line.decode()

    def log_tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9: nothing is flushed, nothing is said to the clients."""
        if self.running:
            os.kill(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self):
        """SIGTERM, as a service manager does; returns the exit status. All that waited was committed before the end."""
        if self.running:
            os.kill(self.process.pid, signal.SIGTERM)
        status = self._reap()
        assert "not drained in time" not in self.log.read_text(errors="replace"), self.log_tail()
        return status

    def _reap(self):
        self.process.stdout.close()
        return self.process.wait(HANG_SECONDS)

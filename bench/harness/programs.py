"""The programs that are measured, as child processes that are ended by their process id."""

import json
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

from . import machine

ROOT = pathlib.Path(__file__).resolve().parents[2]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
# Only ends a run that hangs; a server that has millions of rows to look at is given its time.
HANG_SECONDS = 900

# Debian packages of the baselines, by the program that shows whether they are there.
PACKAGES = {"mosquitto": "mosquitto", "nginx": "nginx-light", "openssl": "openssl"}
PLACES = "/usr/sbin:/usr/local/sbin:/sbin"


class Failed(Exception):
    """A benchmark could not be made, and why."""


class Skipped(Failed):
    """A benchmark that this machine can't make, and why."""


def find(program):
    """Where a program is, also in folders that only administrators search."""
    return shutil.which(program, path=os.environ.get("PATH", "") + ":" + PLACES)


def install(programs):
    """Installs the Debian packages of what is missing."""
    missing = [PACKAGES[program] for program in programs if program in PACKAGES and not find(program)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failed(f"please install these by hand, there is no apt-get here: {' '.join(missing)}")
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    quiet = {"stdout": subprocess.DEVNULL, "check": True}
    # In runlevel 1 packages do not start their services.
    subprocess.run([*sudo, "apt-get", "update", "-q"], **quiet)
    subprocess.run([*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "install", "-q", "-y",
                    "--no-install-recommends", *missing], **quiet)


def build(profile, tls):
    """Builds Otaru and the floor; the folder of the binaries."""
    flags = ["--release"] if profile == "release" else []
    flags += ["--no-default-features", "--features", tls] if tls != "openssl" else []
    subprocess.run(["cargo", "build", "--locked", "--quiet", *flags, "-p", "otaru-server", "-p", "otaru-floor"], cwd=ROOT, check=True)
    return TARGET / profile


def raise_open_files():
    """As many open files as the system allows, for us and what we start."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def certificate(folder):
    """A self-signed certificate with a P-256 key, the same for all sides of a row; the paths of both."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
               "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return cert, key


def tls_settings(pair):
    """Flags of `otaru serve` for listeners under TLS."""
    return ["--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0", "--tls-cert", pair[0], "--tls-key", pair[1]]


class Program:
    """A server that runs; `pid` is the process whose CPU time and memory count."""

    def __init__(self, name, folder):
        self.name, self.folder = name, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        return machine.cpu_seconds(self.pid)

    def spawn(self, command, **more):
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stderr=log, **more)
        return self.process

    def ready_line(self):
        """The line in which the server says where it listens."""
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], HANG_SECONDS)
            byte = os.read(self.process.stdout.fileno(), 1) if readable else b""
            if not byte:
                self.end(signal.SIGKILL)
                raise Failed(f"{self.name} did not get ready: {self.last_words()}")
            line += byte
            if line.endswith(b"\n") and not line.startswith(b"ready "):
                line = b""
        return line.decode()

    def last_words(self):
        """The end of what the program wrote to its log."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace").strip()[-300:] or "it said nothing"

    def listening(self, port):
        """Waits until somebody listens on the port."""
        end = time.monotonic() + HANG_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"{self.name} does not listen: {self.last_words()}") from None
                time.sleep(0.01)

    def end(self, how=signal.SIGTERM):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(how)
        if self.process.stdout:
            self.process.stdout.close()
        self.process.wait(HANG_SECONDS)
        self.process = None


def free_port():
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Otaru(Program):
    """`otaru serve` on a data folder of its own. Started again, it keeps folder and ports."""

    def __init__(self, folder, binaries, *settings):
        super().__init__("otaru", folder)
        self.binary, self.data, self.settings = binaries / "otaru", self.folder / "data", settings
        self.http = self.mqtt = "127.0.0.1:0"
        self.https = self.mqtts = None
        self.ready_seconds = None

    def start(self):
        command = [self.binary, "serve", "--data", self.data, "--http", self.http, "--mqtt", self.mqtt, "--log", "warn",
                   "--limits-pushes-per-minute", 0, "--limits-job-pushes-per-minute", 0, *self.settings]
        begun = time.perf_counter()
        self.spawn(command, stdout=subprocess.PIPE, env=self.environment())
        line = self.ready_line()
        self.ready_seconds = time.perf_counter() - begun
        self.http = re.search(r"\bhttp=(\S+)", line)[1]
        self.mqtt = re.search(r"\bmqtt=(\S+)", line)[1]
        if "mqtts=" in line:
            self.https = re.search(r"\bhttps=(\S+)", line)[1]
            self.mqtts = re.search(r"\bmqtts=(\S+)", line)[1]
        return self

    @staticmethod
    def environment():
        return {name: value for name, value in os.environ.items() if not name.startswith("OTARU_")}

    def command(self, *arguments):
        """Runs a command of the same binary against this server; what it printed, as JSON."""
        done = subprocess.run([str(self.binary), *map(str, arguments)], capture_output=True, text=True,
                              env=self.environment() | {"OTARU_DATA": str(self.data)}, timeout=HANG_SECONDS)
        if done.returncode:
            raise Failed(f"otaru {' '.join(map(str, arguments[:3]))}: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout)

    def call(self, action, **parameters):
        """The reply of a signed call that has to succeed."""
        flat = [part for name, value in parameters.items() for part in (f"--{name}", value)]
        return self.command("call", action, *flat)


class Floor(Program):
    """The server that only appends and syncs."""

    def __init__(self, folder, binaries):
        super().__init__("floor", folder)
        self.binary, self.mqtt = binaries / "floor-mqtt", None

    def start(self):
        self.spawn([self.binary, self.folder / "reports"], stdout=subprocess.PIPE)
        self.mqtt = re.search(r"\bmqtt=(\S+)", self.ready_line())[1]
        return self


class Mosquitto(Program):
    """mosquitto that asks nobody who he is and keeps nothing."""

    def __init__(self, folder, pair=None):
        super().__init__("mosquitto", folder)
        self.pair, self.mqtt = pair, None

    @property
    def mqtts(self):
        return self.mqtt

    def start(self):
        port = free_port()
        tls = "certfile {}\nkeyfile {}\n".format(*self.pair) if self.pair else ""
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {port} 127.0.0.1\n{tls}max_connections -1\nallow_anonymous true\npersistence false\n"
            "set_tcp_nodelay true\nlog_dest stderr\nlog_type error\nuser root\n"
        )
        self.spawn([find("mosquitto"), "-c", settings], stdout=subprocess.DEVNULL)
        self.listening(port)
        self.mqtt = f"127.0.0.1:{port}"
        return self


class Nginx(Program):
    """nginx as one process that serves the files of a folder."""

    def __init__(self, folder, pair=None):
        super().__init__("nginx", folder)
        self.pair = pair
        self.files = self.folder / "files"
        self.files.mkdir(exist_ok=True)
        self.url = None

    def start(self):
        port = free_port()
        tls = "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3; ".format(*self.pair) if self.pair else ""
        settings = self.folder / "nginx.conf"
        settings.write_text(
            "daemon off;\nmaster_process off;\nerror_log stderr error;\n"
            f"pid {self.folder}/pid;\n"
            "events { worker_connections 4096; }\n"
            "http {\n  access_log off;\n  sendfile on;\n  tcp_nopush on;\n  tcp_nodelay on;\n"
            "  keepalive_requests 1000000000;\n  open_file_cache max=100;\n"
            f"  client_body_temp_path {self.folder}/body;\n  proxy_temp_path {self.folder}/proxy;\n"
            f"  fastcgi_temp_path {self.folder}/fastcgi;\n  uwsgi_temp_path {self.folder}/uwsgi;\n"
            f"  scgi_temp_path {self.folder}/scgi;\n"
            f"  server {{ listen 127.0.0.1:{port}{' ssl' if self.pair else ''}; root {self.files}; {tls}}}\n}}\n"
        )
        # The user that its files are readable for is asked for by an option only when root starts it.
        user = ["-g", "user root;"] if os.geteuid() == 0 else []
        self.spawn([find("nginx"), "-c", settings, "-p", self.folder, "-e", "stderr", *user], stdout=subprocess.DEVNULL)
        self.listening(port)
        self.url = f"{'https' if self.pair else 'http'}://127.0.0.1:{port}"
        return self

"""Devices that connect, stay and report."""

from .. import programs
from ..row import Line, Row

CONNECTIONS = 18_000
REPORTERS = 10_000


class Fleet(Row):
    """A row whose devices are registered once, and also go to servers that know none of them."""

    devices = CONNECTIONS
    sides = ("otaru", "mosquitto")
    needs = ("mosquitto",)
    # Where a process may open 20,000 files, the default would leave 15,648 of them to devices.
    settings = ("--doors-http-connections-max", 1_024)
    tls = False

    def prepare(self):
        self.count = self.bench.connections(self.devices)
        self.pair, tls = None, []
        if self.tls:
            self.pair = programs.certificate(self.bench.place("tls"))
            tls = programs.tls_settings(self.pair)
        self.home = self.bench.otaru(*self.settings, *tls)
        self.file = self.home.folder / "devices.csv"
        self.home.command("fleet", "register", "--devices", self.count, "--file", self.file)

    def server(self, side):
        """A server of that side that has just started."""
        if side == "otaru":
            # The same folder in a new process, as whose memory has grown by nothing yet.
            self.home.end()
            return self.bench.start(self.home)
        if side == "mosquitto":
            return self.bench.start(programs.Mosquitto(self.bench.place(side), self.pair))
        return self.bench.start(programs.Floor(self.bench.place(side), self.bench.binaries))

    def load(self, server, mode, *arguments):
        """Runs a mode of `otaru fleet` against a server; its figures."""
        to = ["--mqtt", server.mqtts, "--tls-ca", self.pair[0]] if self.tls else ["--mqtt", server.mqtt]
        figures = self.home.command("fleet", mode, "--file", self.file, "--devices", self.count, *to, "--pid", server.pid, *arguments)
        if figures["failed"]:
            raise programs.Failed(f"{server.name}: {figures['failures']}")
        return figures


class Connect(Fleet):
    name = "connect"
    lines = (
        Line("authenticated connect and subscribe, CPU; mosquitto without authentication", "cpu_us", "µs", reach=0.9, goal=0.7,
             baseline="mosquitto"),
        Line("the same, devices per second with the clients on the same cores", "per_second", "/s", more=True, baseline="mosquitto"),
    )
    rounds = 3

    def run(self, side):
        server = self.server(side)
        rounds = self.load(server, "connect", "--rounds", self.rounds)["rounds"]
        if side != "otaru":
            server.end()
        # The first round of a new process also pays for what it fetches once.
        later = rounds[1:]
        return {
            "cpu_us": sum(each["server"]["cpu_us_each"] for each in later) / len(later),
            "cpu_us_first": rounds[0]["server"]["cpu_us_each"],
            "per_second": sum(each["per_second"] for each in later) / len(later),
        }

    def note(self):
        return f"{self.count} devices at once; the mean of rounds 2 to {self.rounds} of each run"


class ConnectTls(Connect):
    name = "connect-tls"
    needs = ("mosquitto", "openssl")
    tls = True
    lines = (
        Line("the same under TLS 1.3, a full handshake with a P-256 key each, CPU", "cpu_us", "µs", reach=1.0, goal=0.6,
             baseline="mosquitto"),
        Line("the same, devices per second with the clients on the same cores", "per_second", "/s", more=True, baseline="mosquitto"),
    )


class Memory(Fleet):
    name = "memory"
    lines = (
        Line("resident memory per idle, subscribed connection", "kb", "kB", reach=2.5, goal=1.5, beside=("mosquitto",)),
    )

    def run(self, side):
        server = self.server(side)
        figures = self.load(server, "idle", "--seconds", self.bench.seconds(3))
        if side != "otaru":
            server.end()
        idle = figures["server_while_idle"]
        grown = idle["rss_bytes"] - figures["server"]["rss_bytes_before"]
        return {"kb": grown / 1000 / self.count, "cpu_idle_s": idle["cpu_seconds"]}

    def note(self):
        return f"{self.count} devices, growth of a new process; kernel memory is not in it"


class MemoryTls(Memory):
    name = "memory-tls"
    needs = ("mosquitto", "openssl")
    tls = True
    # By the library under TLS.
    reaches = {"openssl": 17, "aws-lc": 9}

    @property
    def lines(self):
        library = self.bench.options.tls
        return (Line(f"the same under TLS 1.3, by {library}", "kb", "kB", reach=self.reaches[library], goal=7, beside=("mosquitto",)),)


class Reports(Fleet):
    name = "reports"
    devices = REPORTERS
    sides = ("otaru", "floor", "mosquitto")
    lines = (
        Line("durable progress reports; floor: append and fdatasync; mosquitto: QoS 1, kept nowhere", "per_second", "/s", more=True,
             reach=0.5, goal=0.8, baseline="floor", beside=("mosquitto",), cpu="cpu_us"),
    )

    def run(self, side):
        server = self.server(side)
        figures = self.load(server, "report", "--seconds", self.bench.seconds(10), *([] if side == "otaru" else ["--no-job"]))
        if side != "otaru":
            server.end()
        return {
            "per_second": figures["per_second"],
            "cpu_us": figures["server"]["cpu_us_each"],
            "p50_ms": figures["latency_ms"]["p50"],
            "p99_ms": figures["latency_ms"]["p99"],
        }

    def note(self):
        return f"{self.count} devices, each with one report on its way"

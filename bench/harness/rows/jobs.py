"""Jobs over many devices: made, cancelled, pushed, played to the end."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

from .. import machine, package, programs
from ..row import Line, Row
from .devices import CONNECTIONS, Fleet

MANY = 1_000_000
OPEN = ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS")


class Stock(Row):
    """A row that needs a product with many registered devices, none of them online."""

    def prepare(self):
        self.many = self.bench.sized(MANY)
        self.home = self.bench.otaru()
        self.file = self.home.folder / "many.csv"
        figures = self.home.command("fleet", "register", "--devices", self.many, "--file", self.file)
        self.product_key = figures["product_key"]

    def keep_stock(self):
        """Ends the server; what its folder holds now is what each `fresh` one begins with."""
        self.home.end()
        self.stock = self.home.folder / "stock"
        self.home.data.rename(self.stock)

    def fresh(self):
        """The server again, on a copy of what was kept: rows of earlier runs would make its indexes deeper."""
        self.home.end()
        shutil.rmtree(self.home.data, ignore_errors=True)
        shutil.copytree(self.stock, self.home.data)
        os.sync()
        return self.bench.start(self.home)

    def make_job(self, firmware_id):
        """Makes a job for all; its id."""
        reply = self.home.call("CreateOTAStaticUpgradeJob", FirmwareId=firmware_id, ProductKey=self.product_key,
                               TargetSelection="ALL", OverwriteMode=2)
        return reply["Data"]["JobId"]

    def tasks(self, job, status=None):
        """How many tasks a job has, of a status or of all."""
        chosen = {"TaskStatus": status} if status else {}
        return self.home.call("ListOTATaskByJob", JobId=job, CurrentPage=1, PageSize=1, **chosen)["Total"]

    def wait_for(self, what, check):
        end = time.monotonic() + programs.HANG_SECONDS
        while not check():
            if time.monotonic() > end:
                raise programs.Failed(f"waited in vain: {what}")
            time.sleep(0.02)

    def made(self, job):
        """Waits until all tasks of the job are there."""
        self.wait_for("a job that is filled", lambda: self.tasks(job) >= self.many)

    def cancel(self, job):
        """Cancels a job and waits until no task of it is open."""
        self.home.call("CancelOTATaskByJob", JobId=job, CancelQueuedTask="true", CancelNotifiedTask="true", CancelInProgressTask="true",
                       CancelUnconfirmedTask="true")
        self.wait_for("a job that is cancelled", lambda: not any(self.tasks(job, status) for status in OPEN))


class StaticJob(Stock):
    name = "static-job"
    sides = ("otaru", "sqlite")
    lines = (
        Line("static job over 1,000,000 devices: call to all tasks durable; bare SQLite insert of the same rows", "seconds", "s",
             reach=2.5, goal=1.2, baseline="sqlite", cpu="cpu_us"),
        Line("the same, memory on top", "mb", "MB", reach=200),
    )

    def prepare(self):
        super().prepare()
        self.firmware_id = package.package(self.home, self.product_key, package.noise(1024))
        self.keep_stock()

    def run(self, side):
        return self.filled() if side == "otaru" else self.bare()

    def filled(self):
        pid = self.fresh().pid
        machine.forget_peak(pid)
        memory, cpu, begun = machine.memory_bytes(pid), machine.cpu_seconds(pid), time.perf_counter()
        self.made(self.make_job(self.firmware_id))
        took = time.perf_counter() - begun
        return {"seconds": took, "mb": (machine.memory_bytes(pid, "VmHWM") - memory) / 1e6,
                "cpu_us": (machine.cpu_seconds(pid) - cpu) * 1e6 / self.many}

    def bare(self):
        place = self.bench.place("sqlite")
        command = [self.bench.binaries / "floor-sqlite", "rows", self.home.data / "otaru.db", place / "rows.db", self.many]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        figures = json.loads(done.stdout)
        if figures["tasks"] < self.many:
            raise programs.Failed(f"the bare insert found {figures['tasks']} tasks")
        (place / "rows.db").unlink()
        return {"seconds": figures["seconds"], "cpu_us": figures["cpu_seconds"] * 1e6 / self.many}

    def note(self):
        return f"{self.many} tasks; seen to be there by asking every 20 ms"


class Puback(Stock):
    name = "puback"
    sides = ("quiet", "otaru")
    lines = (
        Line("PUBACK p99 while a job of 1,000,000 tasks is made, then cancelled; quiet: the same load alone", "p99_ms", "ms",
             reach=5, goal=2, baseline="quiet"),
        Line("the same, slowest PUBACK", "max_ms", "ms", baseline="quiet"),
    )
    reporters = 1_000
    rate = 2_000

    def prepare(self):
        super().prepare()
        self.reporters = self.bench.sized(type(self).reporters, 20)
        self.rate = self.bench.sized(type(self).rate, 40)
        self.few = self.home.folder / "few.csv"
        self.home.command("fleet", "register", "--devices", self.reporters, "--file", self.few)
        self.firmware_id = package.package(self.home, self.product_key, package.noise(1024))
        self.keep_stock()
        # For the first quiet run; the next ones last as long as the job before them.
        self.seconds = self.bench.seconds(20)

    def run(self, side):
        self.fresh()
        command = [self.home.binary, "fleet", "report", "--file", self.few, "--devices", self.reporters, "--rate", self.rate,
                   "--seconds", programs.HANG_SECONDS, "--pid", self.home.pid]
        load = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=self.home.environment() | {"OTARU_DATA": str(self.home.data)})
        with contextlib.ExitStack() as stack:
            stack.callback(load.kill)
            while (line := load.stderr.readline()).strip() != "reporting":
                if not line:
                    raise programs.Failed("the reports did not begin")
            begun = time.perf_counter()
            if side == "quiet":
                time.sleep(self.seconds)
            else:
                job = self.make_job(self.firmware_id)
                self.made(job)
                made = time.perf_counter() - begun
                self.cancel(job)
                self.seconds = time.perf_counter() - begun
            load.send_signal(signal.SIGINT)
            figures = json.loads(load.communicate(timeout=programs.HANG_SECONDS)[0])
        if figures["failed"]:
            raise programs.Failed(f"reports: {figures['failures']}")
        latency = figures["latency_ms"]
        found = {"p50_ms": latency["p50"], "p99_ms": latency["p99"], "max_ms": latency["max"], "reports": figures["done"]}
        return found if side == "quiet" else found | {"made_s": made, "cancelled_s": self.seconds - made}

    def note(self):
        return f"{self.rate} reports per second of {self.reporters} devices; {self.many} tasks"


class Online(Fleet):
    """A row with a job for devices that are online."""

    devices = 15_000
    sides = ("otaru",)
    needs = ()

    def note(self):
        return f"{self.count} devices"


class Campaign(Online):
    name = "campaign"
    # Every device downloads on a connection of its own.
    settings = ()
    lines = (
        Line("campaign of 15,000 online devices, whole upgrade with a download of 64 KiB", "per_second", "/s", more=True, reach=4_000,
             goal=6_000, cpu="cpu_us"),
    )

    def run(self, side):
        figures = self.load(self.server(side), "upgrade", "--bytes", 65_536)
        return {"per_second": figures["per_second"], "cpu_us": figures["server"]["cpu_us_each"], "seconds": figures["seconds"]}


class Notify(Online):
    name = "notify"
    lines = (
        Line("notify 15,000 online devices, each task durably NOTIFIED", "seconds", "s", reach=1, goal=0.5, cpu="cpu_us"),
    )

    def run(self, side):
        figures = self.load(self.server(side), "push")
        if figures["tasks"]["NOTIFIED"] != self.count:
            raise programs.Failed(f"tasks: {figures['tasks']}")
        return {"seconds": figures["seconds"], "cpu_us": figures["server"]["cpu_us_each"]}


class Storm(Online):
    name = "storm"
    devices = CONNECTIONS
    lines = (
        Line("after kill -9: all devices back, subscribed, told again; from the first loss, start of the server included", "seconds",
             "s", reach=4, goal=2, cpu="cpu_us"),
    )

    def run(self, side):
        server = self.server(side)
        command = [server.binary, "fleet", "push", "--again", "--file", self.file, "--devices", self.count, "--mqtt", server.mqtt]
        load = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env=server.environment() | {"OTARU_DATA": str(server.data)})
        with contextlib.ExitStack() as stack:
            stack.callback(load.kill)
            while (line := load.stderr.readline()).strip() != "staying":
                if not line:
                    raise programs.Failed("the devices were not told")
            server.end(signal.SIGKILL)
            server.start()
            figures = json.loads(load.communicate(timeout=programs.HANG_SECONDS)[0])
        if figures["failures"] or figures["again"]["done"] != self.count:
            raise programs.Failed(f"storm: {figures['failures']}, {figures['again']['done']} of {self.count} told again")
        return {"seconds": figures["again"]["seconds"], "back_seconds": figures["back"]["latency_ms"]["max"] / 1000,
                "ready_seconds": server.ready_seconds, "cpu_us": server.cpu_seconds() * 1e6 / self.count}

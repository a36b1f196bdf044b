"""Signed calls on a store that is full."""

import shutil
import subprocess

from .. import package, programs
from ..row import Line
from .jobs import Stock

JOBS = 10
# Rows that pages of tasks lead to, by the reference.
DEEPEST = 100_000


class Filled(Stock):
    """Many devices, each with a task in each of several jobs; the last job is open."""

    def prepare(self):
        super().prepare()
        self.jobs = []

    def fill(self, count):
        """Makes so many more jobs over all devices."""
        for _ in range(count):
            firmware_id = package.package(self.home, self.product_key, package.noise(1024))
            job = self.make_job(firmware_id)
            self.made(job)
            self.jobs.append((firmware_id, job))

    def register_few(self):
        """Devices that will report."""
        self.reporters, self.few = self.bench.sized(1_000, 20), self.home.folder / "few.csv"
        self.home.command("fleet", "register", "--devices", self.reporters, "--file", self.few)

    def asked(self, action, *parameters, home=None):
        """`otaru fleet call` with 64 callers; its figures."""
        home = home or self.home
        figures = home.command("fleet", "call", "--callers", 64, "--seconds", self.bench.seconds(10), "--pid", home.pid,
                               "--file", self.file, action, *parameters)
        if figures["failed"]:
            raise programs.Failed(f"{action}: {figures['failures']}")
        return figures


class JobsOfDevice(Filled):
    name = "jobs-of-device"
    sides = ("otaru", "nginx")
    needs = ("nginx",)
    lines = (
        Line("signed ListOTAJobByDevice, 1,000,000 devices, 10,000,000 tasks, CPU; nginx: 1 kB replies", "cpu_us", "µs", reach=50,
             goal=25, beside=("nginx",)),
        Line("the same, p99 at 64 callers", "p99_ms", "ms", reach=10, goal=5, beside=("nginx",)),
        Line("the same, calls per second with the callers on the same cores", "per_second", "/s", more=True, beside=("nginx",)),
    )

    def prepare(self):
        super().prepare()
        self.fill(JOBS)
        self.files = self.bench.start(programs.Nginx(self.bench.place("nginx")))
        (self.files.files / "reply").write_bytes(bytes(1024))

    def replies(self):
        """nginx with replies of 1 kB for as many callers."""
        return self.home.command("fleet", "download", "--clients", 64, "--seconds", self.bench.seconds(10), "--pid", self.files.pid,
                                 f"{self.files.url}/reply")

    @staticmethod
    def told(figures):
        return {"cpu_us": figures["server"]["cpu_us_each"], "p99_ms": figures["latency_ms"]["p99"],
                "p50_ms": figures["latency_ms"]["p50"], "per_second": figures["per_second"]}

    def run(self, side):
        if side == "nginx":
            return self.told(self.replies())
        firmware_id, _ = self.jobs[0]
        return self.told(self.asked("ListOTAJobByDevice", "--ProductKey", "{product}", "--DeviceName", "{device}", "--FirmwareId",
                                    firmware_id, "--CurrentPage", 1, "--PageSize", 10))

    def note(self):
        return f"{self.many} devices, {self.many * JOBS} tasks in {JOBS} jobs; another device in each call"


class TasksOfJob(Filled):
    name = "tasks-of-job"
    sides = ("otaru",)
    lines = (
        Line("ListOTATaskByJob by status, any page, with its total, while reports flow: p99", "p99_ms", "ms", reach=20, goal=5, cpu="cpu_us"),
        Line("the same, first page", "first_p99_ms", "ms", reach=20, goal=5, cpu="first_cpu_us"),
    )
    callers = 4

    def prepare(self):
        super().prepare()
        self.fill(JOBS)
        self.register_few()

    def run(self, side):
        command = [self.home.binary, "fleet", "report", "--file", self.few, "--devices", self.reporters, "--rate",
                   self.bench.sized(2_000, 40), "--seconds", programs.HANG_SECONDS]
        load = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                env=self.home.environment() | {"OTARU_DATA": str(self.home.data)})
        try:
            while (line := load.stderr.readline()).strip() != "reporting":
                if not line:
                    raise programs.Failed("the reports did not begin")
            any_page = self.pages(f"{{1-{max(1, min(self.many, DEEPEST) // 100)}}}")
            first = self.pages("1")
        finally:
            load.kill()
            load.wait()
            load.stderr.close()
        return {"p99_ms": any_page["latency_ms"]["p99"], "p50_ms": any_page["latency_ms"]["p50"],
                "cpu_us": any_page["server"]["cpu_us_each"], "first_p99_ms": first["latency_ms"]["p99"],
                "first_cpu_us": first["server"]["cpu_us_each"]}

    def pages(self, page):
        _, job = self.jobs[-1]
        figures = self.home.command("fleet", "call", "--callers", self.callers, "--seconds", self.bench.seconds(5), "--pid",
                                    self.home.pid, "--file", self.file, "ListOTATaskByJob", "--JobId", job, "--TaskStatus", "QUEUED",
                                    "--CurrentPage", page, "--PageSize", 100)
        if figures["failed"]:
            raise programs.Failed(f"ListOTATaskByJob: {figures['failures']}")
        return figures

    def note(self):
        return (f"{self.many} tasks of the job, {self.many * JOBS} in all; {self.callers} callers, pages of 100; the server's CPU time "
                "has the reports in it")


class Growth(Filled):
    """The same calls and reports on a store with one job over all devices, and with ten."""

    name = "growth"
    sides = ("small", "otaru")
    lines = tuple(
        Line(f"{work}, CPU: 10,000,000 tasks; small: 1,000,000", figure, "µs", reach=1.5, baseline="small")
        for work, figure in (
            ("ListOTAJobByDevice", "jobs_us"),
            ("ListOTATaskByJob, first page of a status", "tasks_us"),
            ("QueryOTAJob", "job_us"),
            ("QueryDeviceDetail", "device_us"),
            ("durable report", "report_us"),
        )
    )

    def prepare(self):
        super().prepare()
        self.register_few()
        self.fill(1)
        self.home.end()
        self.small = programs.Otaru(self.bench.place("small"), self.bench.binaries)
        shutil.copytree(self.home.data, self.small.data)
        self.bench.start(self.home)
        self.bench.start(self.small)
        self.fill(JOBS - 1)

    def run(self, side):
        home = self.small if side == "small" else self.home
        firmware_id, job = self.jobs[0]
        device = ("--ProductKey", "{product}", "--DeviceName", "{device}")
        # The jobs after it have taken its devices.
        status = "QUEUED" if side == "small" else "CANCELED"
        calls = {
            "jobs_us": ("ListOTAJobByDevice", *device, "--FirmwareId", firmware_id, "--CurrentPage", 1, "--PageSize", 10),
            "tasks_us": ("ListOTATaskByJob", "--JobId", job, "--TaskStatus", status, "--CurrentPage", 1, "--PageSize", 10),
            "job_us": ("QueryOTAJob", "--JobId", job),
            "device_us": ("QueryDeviceDetail", *device),
        }
        figures = {name: self.asked(*call, home=home)["server"]["cpu_us_each"] for name, call in calls.items()}
        reports = home.command("fleet", "report", "--file", self.few, "--devices", self.reporters, "--seconds", self.bench.seconds(5),
                               "--mqtt", home.mqtt, "--pid", home.pid)
        if reports["failed"]:
            raise programs.Failed(f"reports: {reports['failures']}")
        return figures | {"report_us": reports["server"]["cpu_us_each"]}

    def note(self):
        return f"{self.many} devices; {self.many} tasks in one job, and {self.many * JOBS} in {JOBS} jobs"

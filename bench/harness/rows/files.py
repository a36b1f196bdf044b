"""Files that come and go."""

import hashlib
import shutil
import time

from .. import machine, package, programs
from ..row import Line, Row

GB = 1_000_000_000


class Download(Row):
    name = "download"
    sides = ("otaru", "nginx")
    needs = ("nginx",)
    lines = (
        Line("download with ranges of 1 MiB, CPU per GB", "cpu_s_per_gb", "s/GB", reach=1.2, goal=1.0, baseline="nginx"),
        Line("the same, GB per second with the clients on the same cores", "gb_per_second", "GB/s", more=True, baseline="nginx"),
    )
    size = 64 << 20
    tls = False

    def prepare(self):
        pair = programs.certificate(self.bench.place("tls")) if self.tls else None
        self.otaru = self.bench.otaru(*(programs.tls_settings(pair) if pair else []))
        self.trust = ["--tls-ca", pair[0]] if pair else []
        content = package.noise(self.bench.sized(self.size, 1 << 20))
        file = self.otaru.folder / "one.csv"
        self.otaru.command("fleet", "register", "--devices", 1, "--file", file)
        device = file.read_text().strip().split(",")
        firmware_id = package.package(self.otaru, device[0], content)
        self.url = package.download_url(self.otaru, device, firmware_id)
        if pair:
            # The signature is of the path and what follows it.
            path = self.url.split("/", 3)[3]
            self.url = f"https://{self.otaru.https}/{path}"
        self.nginx = self.bench.start(programs.Nginx(self.bench.place("nginx"), pair))
        (self.nginx.files / "package").write_bytes(content)

    def run(self, side):
        url, pid = (self.url, self.otaru.pid) if side == "otaru" else (f"{self.nginx.url}/package", self.nginx.pid)
        figures = self.otaru.command("fleet", "download", "--clients", 16, "--range", 1 << 20, "--seconds", self.bench.seconds(5),
                                     "--pid", pid, *self.trust, url)
        if figures["failed"]:
            raise programs.Failed(f"{side}: {figures['failures']}")
        return {"cpu_s_per_gb": figures["server"]["cpu_seconds_per_gb"], "gb_per_second": figures["gb_per_second"]}

    def note(self):
        return "a file of 64 MiB, 16 connections"


class DownloadTls(Download):
    name = "download-tls"
    needs = ("nginx", "openssl")
    tls = True
    lines = (
        Line("the same under TLS 1.3, CPU per GB", "cpu_s_per_gb", "s/GB", reach=1.1, goal=1.0, baseline="nginx"),
        Line("the same, GB per second with the clients on the same cores", "gb_per_second", "GB/s", more=True, baseline="nginx"),
    )


class Upload(Row):
    name = "upload"
    sides = ("otaru", "digest")
    lines = (
        Line("upload of 1 GB, both digests; digest: MD5 alone in memory, the slower one", "gb_per_second", "GB/s", more=True, reach=0.8,
             baseline="digest", cpu="cpu_s_per_gb", cpu_unit="s/GB"),
        Line("the same, memory on top", "mb", "MB"),
    )

    def prepare(self):
        self.content = package.noise(self.bench.sized(GB, 1 << 20))
        self.size = len(self.content) / 1e9

    def run(self, side):
        if side == "digest":
            begun, cpu = time.perf_counter(), time.process_time()
            hashlib.md5(self.content).digest()
            return {"gb_per_second": self.size / (time.perf_counter() - begun), "cpu_s_per_gb": (time.process_time() - cpu) / self.size}
        otaru = self.bench.otaru()
        machine.forget_peak(otaru.pid)
        memory, cpu = machine.memory_bytes(otaru.pid), machine.cpu_seconds(otaru.pid)
        _, took = package.upload(otaru, self.content)
        figures = {"gb_per_second": self.size / took, "mb": (machine.memory_bytes(otaru.pid, "VmHWM") - memory) / 1e6,
                   "cpu_s_per_gb": (machine.cpu_seconds(otaru.pid) - cpu) / self.size}
        otaru.end()
        shutil.rmtree(otaru.folder)
        return figures

    def close(self):
        self.content = None


class Start(Row):
    name = "start"
    lines = (
        Line("binary", "binary_mb", "MB", reach=30, goal=15),
        Line("idle memory", "idle_mb", "MB", reach=25, goal=10),
        Line("time to `ready` on a folder that is there", "ready_ms", "ms", reach=150, goal=50),
        Line("the same, on a new folder", "first_ready_ms", "ms", reach=150, goal=50),
    )

    def run(self, side):
        otaru = self.bench.otaru()
        first = otaru.ready_seconds
        otaru.end()
        otaru.start()
        time.sleep(1)
        figures = {"binary_mb": otaru.binary.stat().st_size / 1e6, "idle_mb": machine.memory_bytes(otaru.pid) / 1e6,
                   "ready_ms": otaru.ready_seconds * 1000, "first_ready_ms": first * 1000}
        otaru.end()
        return figures

"""The machine that the figures are of, and what else it was doing meanwhile."""

import os
import platform
import re
import statistics
import subprocess
import time

TICKS = os.sysconf("SC_CLK_TCK")
SYNCS = 200


def describe():
    """Processor, cores, memory and system in a line."""
    cpu = re.search(r"model name\s*: (.*)", _read("/proc/cpuinfo"))
    memory = int(re.search(r"MemTotal:\s+(\d+)", _read("/proc/meminfo"))[1]) / 2**20
    system = re.search(r'PRETTY_NAME="(.*)"', _read("/etc/os-release"))
    return ", ".join([
        f"{os.cpu_count()} cores ({cpu[1] if cpu else platform.machine()})",
        f"{memory:.0f} GiB",
        system[1] if system else platform.system(),
        f"Linux {platform.release()}",
    ])


def commit(root):
    """The commit of the tree, with a mark when files differ from it."""
    answer = subprocess.run(["git", "-C", root, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


def fdatasync_us(folder):
    """The median of appending 4 KiB and waiting for the disk, in microseconds, just now."""
    path = os.path.join(folder, "fdatasync")
    block, took = bytes(4096), []
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        for _ in range(SYNCS):
            os.write(file, block)
            begun = time.perf_counter()
            os.fdatasync(file)
            took.append(time.perf_counter() - begun)
    finally:
        os.close(file)
        os.unlink(path)
    return statistics.median(took) * 1e6


def cpu_seconds(pid):
    """CPU time of a process so far."""
    fields = _read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_bytes(pid, which="VmRSS"):
    """Resident memory of a process now, or `VmHWM`, the most since `forget_peak`."""
    return int(re.search(rf"{which}:\s+(\d+) kB", _read(f"/proc/{pid}/status"))[1]) * 1024


def forget_peak(pid):
    """Lets `VmHWM` begin anew."""
    with open(f"/proc/{pid}/clear_refs", "w") as file:
        file.write("5")


class Others:
    """How busy the machine was with what is not ours, from here until `share`."""

    def __init__(self):
        self.begun, self.busy, self.each = time.monotonic(), _busy_seconds(), _processes()
        self.ours = _children_seconds()

    def share(self, servers_seconds):
        """The share of all cores that others took, and the names of those that took most."""
        took = time.monotonic() - self.begun
        ours = _children_seconds() - self.ours + servers_seconds
        others = max(0.0, _busy_seconds() - self.busy - ours)
        grown = {}
        for pid, (name, group, used) in _processes().items():
            before = self.each.get(pid, (name, group, 0.0))[2]
            if group != os.getpgrp():
                grown[name] = grown.get(name, 0.0) + used - before
        busiest = sorted(grown, key=grown.get, reverse=True)[:3]
        return min(1.0, others / (took * os.cpu_count())), [name for name in busiest if grown[name] > took * 0.02]


def _children_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _busy_seconds():
    user, nice, system, _idle, _wait, irq, softirq = map(int, _read("/proc/stat").split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def _processes():
    """Name, process group and CPU time, with that of children that ended, of all processes."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            head, rest = _read(f"/proc/{pid}/stat").rsplit(")", 1)
        except OSError:
            continue  # It ended meanwhile.
        fields = rest.split()
        found[pid] = (head.split("(", 1)[1], int(fields[2]), sum(map(int, fields[11:15])) / TICKS)
    return found


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()

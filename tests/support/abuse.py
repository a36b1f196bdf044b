"""Strangers who mean harm, the memory that they cost the server, and a device that has to be served all the same."""

import contextlib
import re
import resource
import socket

import requests

import cloud as clouds
import metrics
from device import WireDevice
from fleet import Fleet, of_status
from server import HANG_SECONDS, wait_for

MEGABYTE = 1024 * 1024
# Bytes that the server may grow by in any of the tests. Each would cost far more without its limit.
GROWTH = 48 * MEGABYTE

# The flood of the test must not end at the limit of the test's own process.
_soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_hard, _hard))


def resident(server):
    """Bytes of memory that the server's process has now."""
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(re.search(r"^VmRSS:\s+(\d+) kB$", status.read(), re.M)[1]) * 1024


class Crowd:
    """Bare sockets from chosen addresses of the loopback: `127.0.0.N`."""

    def __init__(self):
        self.sockets = []

    def dial(self, address, number):
        """A connection from there; an address of the loopback network is as good a source as any."""
        host, port = address.rsplit(":", 1)
        one = socket.create_connection((host, int(port)), HANG_SECONDS, (f"127.0.0.{number}", 0))
        self.sockets.append(one)
        return one

    def close(self):
        for one in self.sockets:
            # Whoever else has a file on it: the other side hears of the end.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self.sockets = []


def send(one, data):
    """Sends as long as the other side takes it; whether it took all."""
    try:
        one.sendall(data)
        return True
    except OSError:
        return False


def is_closed(one):
    """Whether the other side has closed, waiting for it if need be. What it said before is read."""
    try:
        while one.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


class Witness:
    """A device and a caller who have to be served whatever goes on beside them."""

    def __init__(self, server):
        self.server = server
        self.fleet = Fleet(clouds.Core(server.http))
        self.firmware, self.content = self.fleet.package("2.0.0")
        self.upgrades()
        self.before = resident(server)

    def upgrades(self):
        """A device connects, reports, is pushed, downloads and has the new version."""
        registered = self.fleet.device()
        device = WireDevice(self.server, registered)
        assert device.connect() == 0
        device.report_version("1.0.0")
        job = self.fleet.static_job(self.firmware, [registered["DeviceName"]])
        push = device.next_push()
        trusted = str(self.server.ca) if self.server.https else True
        assert requests.get(push["data"]["url"], timeout=HANG_SECONDS, verify=trusted).content == self.content
        device.report_progress(100)
        device.report_version("2.0.0")
        wait_for("the upgrade succeeds", lambda: of_status(self.fleet.task(job), "SUCCEEDED"))
        device.close()

    def grown(self):
        """Bytes of memory that the server has more than before."""
        return resident(self.server) - self.before

    def counts(self, name, **labels):
        return metrics.value(self.server, f"otaru_{name}", **labels)

    def await_quiet(self):
        """After the abuse everything is given back: no connection is left."""
        for door in ("mqtt", "http"):
            # The client of the API keeps a connection of its own.
            mine = 1 if door == "http" else 0
            wait_for(f"nobody is left at {door}", lambda: self.counts("connections", door=door) <= mine)


def settled(witness, crowd):
    """The end of every test: bounded growth, a device that is served meanwhile, and everything given back afterwards."""
    witness.upgrades()
    assert witness.grown() < GROWTH
    crowd.close()
    witness.await_quiet()
    witness.upgrades()

"""kill -9 at a random moment under load, over and over on one data folder: nothing that was acknowledged is lost.

OTARU_KILL_ROUNDS says how often (3), OTARU_KILL_SEED which moments (printed, otherwise taken from the clock).
"""

import collections
import os
import random
import threading
import time

from aliyunsdkcore.acs_exception.exceptions import ClientException

import cloud as clouds
from fleet import Fleet
from wire import Wire

REPORTERS, UPGRADERS, IN_FLIGHT = 8, 8, 6
STATUSES = ["CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED"]


def test_nothing_acknowledged_is_lost_in_a_kill(own_server):
    seed = int(os.environ.get("OTARU_KILL_SEED") or time.time())
    rounds = int(os.environ.get("OTARU_KILL_ROUNDS") or 3)
    print(f"OTARU_KILL_SEED={seed} OTARU_KILL_ROUNDS={rounds}")
    chance = random.Random(seed)
    world = World(own_server)
    for number in range(rounds):
        world.begin(number)
        moment = chance.uniform(0.1, 2.0)
        time.sleep(moment)  # the only way to let real work go on for a while
        own_server.kill()
        world.end()
        own_server.start()
        assert not repairs(own_server), repairs(own_server)
        world.check(number)
        world.finish_round()
        print(f"round {number}: killed after {moment:.2f} s, {world.summary()}")
    world.check()
    assert own_server.stop() == 0


def due(made, checked, number):
    """Of what was made: what is new since `checked`, and of what is older every tenth, others each round; without a
    round all of it. Looking at everything after every kill would take ever longer."""
    if number is None:
        return made
    return made[checked:] + made[number % 10 : checked : 10]


def repairs(server):
    """Lines of the log that tell of a repair; recovery is a part of every start and says nothing."""
    words = ("repair", "corrupt", "malformed", "rebuil", "damage")
    return [line for line in server.log.read_text(errors="replace").splitlines() if any(w in line.lower() for w in words)]


class World:
    """The load, and what it knows must hold."""

    def __init__(self, server):
        self.server = server
        self.fleet = Fleet(clouds.Core(server.http))
        self.reporters = [Reporter(server, self.fleet.device()) for _ in range(REPORTERS)]
        self.upgraders = [Upgrader(server, self.fleet.device()) for _ in range(UPGRADERS)]
        self.backend = Backend(server, self.fleet, len(self.reporters) + len(self.upgraders))
        self.jobs, self.checked = [], 0

    def begin(self, number):
        firmware, _ = self.fleet.package(f"target-{number}")
        job = self.fleet.static_job(firmware, [u.device["DeviceName"] for u in self.upgraders])
        self.jobs.append(job)
        for upgrader in self.upgraders:
            upgrader.take(job, f"target-{number}")
        self.threads = [threading.Thread(target=actor.run) for actor in self.actors()]
        for thread in self.threads:
            thread.start()

    def actors(self):
        return [*self.reporters, *self.upgraders, self.backend]

    def end(self):
        for thread in self.threads:
            thread.join()
        for actor in self.actors():
            assert actor.defect is None, actor.defect

    def check(self, number=None):
        for reporter in self.reporters:
            reporter.check(self.fleet)
        for upgrader in self.upgraders:
            upgrader.check(self.fleet)
        self.backend.check(number)
        for job in due(self.jobs, len(self.jobs) - 1, number) + due(self.backend.jobs, self.checked, number):
            self.check_counters(job)
        self.checked = len(self.backend.jobs)

    def check_counters(self, job):
        """The totals per status come from counters, the rows from the tasks themselves."""
        rows = collections.Counter(row["TaskStatus"] for row in self.fleet.tasks(job))
        page = {"JobId": job, "PageSize": 1, "CurrentPage": 1}
        totals = {s: self.fleet.cloud.ok("ListOTATaskByJob", TaskStatus=s, **page)["Total"] for s in STATUSES}
        assert {s: n for s, n in totals.items() if n} == dict(rows), job
        assert self.fleet.cloud.ok("ListOTATaskByJob", **page)["Total"] == sum(rows.values())

    def summary(self):
        reports = sum(actor.acknowledged for actor in self.reporters + self.upgraders)
        return f"{reports} reports acknowledged so far, {len(self.backend.devices)} devices and {len(self.backend.jobs)} jobs made"

    def finish_round(self):
        """Every task can still end: each upgrader comes back and reports its target."""
        for upgrader in self.upgraders:
            wire = upgrader.open()
            wire.report("inform", version=upgrader.target)
            wire.settle()
            upgrader.check_told(wire)
            wire.close()
        job = self.jobs[-1]
        assert {row["TaskStatus"] for row in self.fleet.tasks(job)} == {"SUCCEEDED"}
        assert self.fleet.job(job)["JobStatus"] == "COMPLETED"
        self.check_counters(job)


class Actor:
    """Works until the server is gone. What went wrong in its thread otherwise is kept in `defect`."""

    def __init__(self):
        self.defect = None

    def run(self):
        try:
            self.work()
        except OSError:
            pass
        except ClientException as gone:
            # Only the connection may fail; ServerException, a refusal, is no subclass of this.
            if gone.error_code != "SDK.HttpError":
                self.defect = gone
        except Exception as defect:  # shown by the main thread
            self.defect = defect


class Device(Actor):
    """Reports rising numbers; knows the last one sent and the last one acknowledged."""

    def __init__(self, server, device):
        super().__init__()
        self.server, self.device = server, device
        self.acknowledged = 0

    def open(self):
        return Wire(self.server.mqtt_port, self.device)


class Reporter(Device):
    """In no job: reports version after version."""

    def __init__(self, server, device):
        super().__init__(server, device)
        self.sent, self.known = -1, -1

    def work(self):
        wire, first = self.open(), self.sent + 1
        try:
            while True:
                self.sent += 1
                wire.report("inform", version=f"v{self.sent}")
                wire.settle(IN_FLIGHT)
        finally:
            if wire.acknowledged:
                self.known = first + wire.acknowledged - 1
            self.acknowledged += wire.acknowledged
            wire.close()

    def check(self, fleet):
        shown = fleet.detail(self.device["DeviceName"]).get("FirmwareVersion") or "v-1"
        assert self.known <= int(shown[1:]) <= self.sent, f"{self.known} acknowledged, {shown} kept, {self.sent} sent"


class Upgrader(Device):
    """In one job a round: reports progress step by step, then the version that ends the task."""

    def take(self, job, target):
        self.job, self.target = job, target
        self.sent = self.known = -1

    def work(self):
        wire = self.open()
        try:
            for step in range(101):
                self.sent = step
                wire.report("progress", step=step)
                # One at a time: a step then takes about as long as a commit, and the kill falls within.
                wire.settle()
                self.known = step
            self.sent = 101
            wire.report("inform", version=self.target)
            wire.settle()
            self.known = 101
        finally:
            self.check_told(wire)
            self.acknowledged += wire.acknowledged
            wire.close()

    def check_told(self, wire):
        """Of the one unfinished task, and once a connection: there is no retry."""
        assert wire.told in ([], [self.target]), f"{self.target} is next, {wire.told} was told"

    def check(self, fleet):
        page = {"JobId": self.job, "DeviceNames": [self.device["DeviceName"]]}
        (task,) = fleet.cloud.ok("ListOTATaskByJob", **page)["Data"]["SimpleOTATaskInfo"]
        what = f"{self.known} acknowledged, {self.sent} sent, kept: {task}"
        if task["TaskStatus"] == "SUCCEEDED":
            assert self.sent == 101 and task["Progress"] == "100.00", what
            assert fleet.detail(self.device["DeviceName"])["FirmwareVersion"] == self.target, what
        elif task["TaskStatus"] == "IN_PROGRESS":
            assert self.known <= float(task["Progress"]) <= self.sent, what
        else:
            assert task["TaskStatus"] in ("QUEUED", "NOTIFIED") and self.known == -1, what


class Backend(Actor):
    """Calls that change things, one after another; each answered one has to be seen again."""

    def __init__(self, server, fleet, devices_before):
        super().__init__()
        # A client of its own: the main thread's is not for two threads.
        self.fleet, self.cloud = fleet, clouds.Core(server.http)
        self.devices_before, self.attempts = devices_before, 0
        self.devices, self.jobs = [], []
        self.checked = (0, 0)
        self.canceled, self.maybe_canceled = set(), set()

    def work(self):
        firmware = None
        while True:
            self.attempts += 1
            name = f"made-{self.attempts}"
            device = self.cloud.ok("RegisterDevice", ProductKey=self.fleet.product_key, DeviceName=name)["Data"]
            self.devices.append(device)
            if firmware is None:
                listed = self.cloud.ok("ListOTAFirmware", ProductKey=self.fleet.product_key, PageSize=1, CurrentPage=1)
                firmware = listed["FirmwareInfo"]["SimpleFirmwareInfo"][0]["FirmwareId"]
            made = self.cloud.ok(
                "CreateOTAStaticUpgradeJob",
                FirmwareId=firmware,
                ProductKey=self.fleet.product_key,
                TargetSelection="SPECIFIC",
                TargetDeviceName=[name],
            )
            job = made["Data"]["JobId"]
            self.jobs.append(job)
            if self.attempts % 2:
                self.maybe_canceled.add(job)
                self.cloud.ok("CancelOTATaskByJob", JobId=job, CancelQueuedTask=True)
                self.canceled.add(job)

    def check(self, number=None):
        devices, jobs = self.checked
        for device in due(self.devices, devices, number):
            detail = self.fleet.detail(device["DeviceName"])
            assert (detail["IotId"], detail["DeviceSecret"]) == (device["IotId"], device["DeviceSecret"])
        for job in due(self.jobs, jobs, number):
            shown = self.fleet.job(job)["JobStatus"]
            if job in self.canceled:
                assert shown == "CANCELED", job
            elif job in self.maybe_canceled:
                # The kill cut off the answer.
                assert shown in ("CANCELED", "IN_PROGRESS"), job
            else:
                assert shown == "IN_PROGRESS", job
        self.checked = (len(self.devices), len(self.jobs))
        count = self.fleet.cloud.ok("QueryProduct", ProductKey=self.fleet.product_key)["Data"]["DeviceCount"]
        listed = self.fleet.cloud.ok("QueryDevice", ProductKey=self.fleet.product_key, PageSize=1, CurrentPage=1)["Total"]
        assert count == listed
        assert len(self.devices) <= count - self.devices_before <= self.attempts

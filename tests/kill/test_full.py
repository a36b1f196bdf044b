"""A server whose files may not grow for a while: it says so, acknowledges nothing meanwhile, and goes on by itself."""

import resource

import pytest

import cloud as clouds
from fleet import Fleet, refusal
from wire import Wire


@pytest.fixture
def fleet(own_server):
    return Fleet(clouds.Core(own_server.http))


class NoRoom:
    """Lets no file of the server grow beyond the size that the log of its database has now (RLIMIT_FSIZE)."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        log = self.server.data / "otaru.db-wal"
        self.before = resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE)
        limit = log.stat().st_size
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, (limit, self.before[1]))

    def __exit__(self, *_):
        resource.prlimit(self.server.process.pid, resource.RLIMIT_FSIZE, self.before)


def report(server, device, version):
    wire = Wire(server.mqtt_port, device)
    try:
        wire.report("inform", version=version)
        wire.settle()
        return True
    except ConnectionError:
        return False
    finally:
        wire.close()


def test_a_server_whose_files_may_not_grow_acknowledges_nothing_and_goes_on_without_a_restart(own_server, fleet):
    device = fleet.device()
    new = {"ProductKey": fleet.product_key, "DeviceName": "later"}
    assert report(own_server, device, "1.0")
    with NoRoom(own_server):
        assert refusal(fleet.cloud, "RegisterDevice", **new)[0] == "iot.device.CreateDeviceFailed"
        assert not report(own_server, device, "2.0"), "a report is acknowledged that can't be kept"
        # What is there can be read.
        assert fleet.detail(device["DeviceName"])["FirmwareVersion"] == "1.0"
        assert own_server.running
    made = fleet.cloud.ok("RegisterDevice", **new)["Data"]
    assert report(own_server, device, "3.0")
    assert "a commit failed" in own_server.log_tail()
    own_server.kill()
    own_server.start()
    assert fleet.detail("later")["DeviceSecret"] == made["DeviceSecret"]
    assert fleet.detail(device["DeviceName"])["FirmwareVersion"] == "3.0"
    assert own_server.stop() == 0

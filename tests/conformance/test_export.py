"""`otaru export` and `otaru import`: a server moves with all that it knows."""

import shutil
import subprocess

import pytest

import cloud as clouds
from fleet import Fleet
from server import Server, binary


@pytest.fixture
def moved(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("moved"))
    yield server
    server.kill()


def run(command, file, server, check=True):
    store = ["--store", server.store] if server.store else []
    line = [binary(), command, str(file), "--data", str(server.data), *store]
    return subprocess.run(line, check=check, capture_output=True, text=True)


def test_a_server_goes_on_elsewhere_from_an_export_and_its_folder(own_server, moved, tmp_path):
    fleet = Fleet(clouds.Core(own_server.http))
    device = fleet.device()
    firmware, _ = fleet.package("2.0")
    job = fleet.static_job(firmware, [device["DeviceName"]])
    tasks = fleet.tasks(job)
    export = tmp_path / "rows"

    refused = run("export", export, own_server, check=False)
    assert refused.returncode and "another server is running" in refused.stderr, "not while it runs"
    assert own_server.stop() == 0
    told = run("export", export, own_server).stderr.replace("exported", "imported")
    assert run("export", export, own_server, check=False).returncode, "the file is there already"
    assert run("export", "-", own_server).stdout == export.read_text()

    shutil.copytree(own_server.data, moved.data, ignore=shutil.ignore_patterns("otaru.db*", "lock", "admin.sock"))
    cut = tmp_path / "cut"
    cut.write_text(export.read_text()[:-20])
    assert run("import", cut, moved, check=False).returncode
    assert run("import", export, moved).stderr == told
    again = run("import", export, moved, check=False)
    assert again.returncode and "not empty" in again.stderr

    moved.start()
    fleet.cloud = clouds.Core(moved.http)
    assert fleet.tasks(job) == tasks
    assert fleet.detail(device["DeviceName"])["DeviceSecret"] == device["DeviceSecret"]
    assert fleet.static_job(firmware, [fleet.device()["DeviceName"]])
    assert moved.stop() == 0

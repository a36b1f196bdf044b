"""A database that restarts, crashes, is away or is taken by another server, under load: nothing acknowledged is lost, and
the server goes on by itself."""

import subprocess
import threading

import pytest

import cloud as clouds
from fleet import Fleet, refusal
from postgres import Cluster
from server import Server, binary, wait_for
from test_kill import Reporter

REPORTERS, REPORTS_MIN = 8, 30


@pytest.fixture
def cluster():
    cluster = Cluster().start()
    yield cluster
    cluster.close()


@pytest.fixture
def server(cluster, tmp_path):
    server = Server(tmp_path, store=cluster.database()).start()
    yield server
    server.kill()


def unless_away(call):
    """What a call returns, or nothing while the store can't be reached: of that a caller is told by HTTP 503."""
    try:
        return call()
    except clouds.Refused as refused:
        assert str(refused).startswith("ServiceUnavailable"), refused
        return None


def answers(fleet):
    return unless_away(lambda: fleet.cloud.ok("QueryProductList", PageSize=1, CurrentPage=1))


def made(fleet):
    """A new device, once the store takes one."""
    return unless_away(lambda: fleet.cloud.ok("RegisterDevice", ProductKey=fleet.product_key)["Data"])


def test_a_database_that_ends_under_load_loses_nothing_acknowledged_and_is_found_again(cluster, server):
    fleet = Fleet(clouds.Core(server.http))
    reporters = [Reporter(server, fleet.device()) for _ in range(REPORTERS)]
    process = server.process.pid
    for mode in ("immediate", "fast", "immediate"):
        wanted = [reporter.sent + REPORTS_MIN for reporter in reporters]
        threads = [threading.Thread(target=reporter.run) for reporter in reporters]
        for thread in threads:
            thread.start()
        wait_for("reports", lambda: all(r.sent >= n or r.defect for r, n in zip(reporters, wanted)))
        cluster.stop(mode)
        # Whoever reports now is not answered but closed.
        for thread in threads:
            thread.join()
        assert not made(fleet)
        assert not answers(fleet)
        cluster.start()
        wait_for("the server finds its database again", lambda: answers(fleet))
        wait_for("the server writes again", lambda: made(fleet))
        for reporter in reporters:
            assert reporter.defect is None, reporter.defect
            assert reporter.acknowledged
            reporter.check(fleet)
    assert (server.running, server.process.pid) == (True, process)
    assert server.stop() == 0


def test_a_restart_between_two_reports_is_not_noticed_by_devices_or_callers(cluster, server):
    fleet = Fleet(clouds.Core(server.http))
    first = made(fleet)
    cluster.stop("fast")
    cluster.start()
    assert fleet.detail(first["DeviceName"])["DeviceSecret"] == first["DeviceSecret"]
    assert made(fleet)


def test_a_server_whose_database_is_away_says_so_at_its_start_and_ends(cluster, tmp_path):
    store = cluster.database().replace("otaru@", "otaru:s3cret@")
    cluster.stop()
    command = [binary(), "serve", "--data", str(tmp_path / "data"), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
    ended = subprocess.run([*command, "--store", store], capture_output=True, text=True, timeout=60)
    assert ended.returncode != 0
    assert "can't be reached" in ended.stderr and "s3cret" not in ended.stderr, ended.stderr


def test_the_server_that_had_a_database_ends_once_another_has_taken_it(server, tmp_path):
    fleet = Fleet(clouds.Core(server.http))
    other = Server(tmp_path / "other", store=server.store)
    other.folder.mkdir()
    other.start()
    try:
        assert refusal(fleet.cloud, "RegisterDevice", ProductKey=fleet.product_key)
        wait_for("the first server ends", lambda: not server.running)
        assert server.process.returncode != 0
        assert "another server has taken the database" in server.log_tail()
        # The product is there: both had the same rows.
        assert Fleet(clouds.Core(other.http)).device()
        assert clouds.Core(other.http).ok("RegisterDevice", ProductKey=fleet.product_key)
    finally:
        assert other.stop() == 0

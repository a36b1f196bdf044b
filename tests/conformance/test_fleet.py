"""`otaru fleet`, the load that users make themselves: small runs whose figures must add up."""

import json
import os
import signal
import subprocess

import pytest
from server import HANG_SECONDS, KEY_ID, KEY_SECRET, binary


@pytest.fixture
def begin(own_server):
    """Starts one mode against a server of its own."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("OTARU_")}
    variables |= {"OTARU_DATA": str(own_server.data), "OTARU_ACCESS_KEY_ID": KEY_ID, "OTARU_ACCESS_KEY_SECRET": KEY_SECRET}
    started = []

    def begin(*arguments):
        command = [binary(), "fleet", *map(str, arguments)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables))
        return started[-1]

    yield begin
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def run(begin):
    """Runs one mode to its end; the figures, or why it could not be."""

    def run(*arguments, refused=False):
        process = begin(*arguments)
        out, err = process.communicate(timeout=2 * HANG_SECONDS)
        assert (process.returncode != 0) == refused, err
        return err if refused else json.loads(out)

    return run


def reach(process, part):
    """Reads until the run says that this part of it begins."""
    for line in process.stderr:
        if line.strip() == part:
            return
    raise AssertionError(f"the run ended before {part}")


def test_devices_of_a_file_connect_in_rounds_and_stay(run, own_server, tmp_path):
    file = tmp_path / "devices.csv"
    assert run("register", "--devices", 60, "--file", file)["devices"] == 60
    assert len(file.read_text().splitlines()) == 60
    pid = own_server.process.pid
    figures = run("connect", "--file", file, "--devices", 60, "--rounds", 2, "--pid", pid)
    assert (figures["done"], figures["failed"], len(figures["rounds"])) == (60, 0, 2)
    assert figures["server"]["rss_bytes"] > 0
    figures = run("idle", "--file", file, "--devices", 20, "--seconds", 1, "--no-subscribe")
    assert (figures["done"], figures["lost"], figures["server"]) == (20, 0, None)
    # Secrets that the server doesn't know are failures with a reason.
    bad = tmp_path / "bad.csv"
    lines = file.read_text().splitlines()
    bad.write_text("\n".join([*lines[:3], lines[3] + "x"]))
    figures = run("connect", "--file", bad, "--devices", 4)
    assert (figures["done"], figures["failed"]) == (3, 1)
    assert figures["failures"] == {"the server refused the device: BadUsernameOrPassword": 1}


@pytest.mark.parametrize("flags", [[], ["--no-restart"]])
def test_a_campaign_upgrades_every_device(run, flags):
    figures = run("upgrade", "--devices", 25, "--bytes", 5000, *flags)
    assert figures["upgraded"] == figures["tasks"]["SUCCEEDED"] == 25
    assert (figures["bytes"], figures["failures"]) == (25 * 5000, {})


def test_reports_are_made_as_fast_as_acknowledged_or_at_a_rate(run):
    figures = run("report", "--devices", 10, "--seconds", 1)
    assert figures["done"] > 10 and figures["failures"] == {}
    figures = run("report", "--devices", 10, "--seconds", 1, "--no-job", "--rate", 50)
    assert 0 < figures["done"] and figures["failures"] == {}


def test_an_interrupted_run_has_its_figures(begin):
    process = begin("report", "--devices", 5, "--seconds", 10 * HANG_SECONDS)
    reach(process, "reporting")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HANG_SECONDS)
    assert (process.returncode, json.loads(out)["failures"]) == (0, {}), err


def test_devices_that_are_online_are_told_of_a_job(run):
    figures = run("push", "--devices", 20)
    assert (figures["done"], figures["failed"], figures["tasks"]["NOTIFIED"]) == (20, 0, 20)


def test_devices_come_back_after_a_kill_and_are_told_again(begin, own_server):
    process = begin("push", "--again", "--devices", 20)
    reach(process, "staying")
    own_server.kill()
    own_server.start()
    out, err = process.communicate(timeout=2 * HANG_SECONDS)
    assert process.returncode == 0, err
    figures = json.loads(out)
    assert (figures["back"]["done"], figures["again"]["done"], figures["failures"]) == (20, 20, {})


def test_callers_and_downloaders_count_what_they_got(run, own_server):
    figures = run("call", "--seconds", 1, "--callers", 4, "QueryProductList", "--CurrentPage", 1, "--PageSize", 10)
    assert figures["done"] > 4 and figures["failures"] == {}
    figures = run("call", "--seconds", 1, "--callers", 2, "QueryProduct", "--ProductKey", "a1unknown00")
    assert figures["done"] == 0 and set(figures["failures"]) == {"iot.prod.NotExistedProduct"}
    figures = run("download", "--seconds", 1, "--clients", 2, own_server.url + "/download/none")
    assert figures["done"] == 0 and figures["failed"] > 0


def test_calls_differ_by_what_is_filled_in(run, tmp_path):
    file = tmp_path / "devices.csv"
    run("register", "--devices", 3, "--file", file)
    names = ["--ProductKey", "{product}", "--DeviceName", "{device}"]
    figures = run("call", "--seconds", 1, "--callers", 2, "--file", file, "QueryDeviceDetail", *names)
    assert figures["done"] > 2 and figures["failures"] == {}
    figures = run("call", "--seconds", 1, "--callers", 2, "QueryProductList", "--CurrentPage", "{1-9}", "--PageSize", "{1-100}")
    assert figures["done"] > 2 and figures["failures"] == {}
    assert "--file" in run("call", "QueryDeviceDetail", *names, refused=True)


def test_what_can_not_be_run_is_said_in_a_sentence(run, tmp_path):
    for arguments, why in [
        (["connect", "--file", tmp_path / "none"], "can't be read"),
        (["connect", "--devices", 1_000_000], "open files"),
        (["connect", "--devices", 5, "--mqtt", "127.0.0.1:1"], "no device could connect"),
        (["call", "NoSuchOperation"], "is no operation"),
        (["call", "QueryProduct", "--format", "xml"], "options come before the operation"),
    ]:
        assert why in run(*arguments, refused=True)

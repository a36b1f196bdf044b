"""What a service manager and an operator meet: start, refusal to start, stop; quotas when they are switched on."""

import os
import re
import signal
import stat
import subprocess
import tomllib

import pytest

import cloud as clouds
from fleet import Fleet, refusal
from server import KEY_ID, KEY_SECRET, Server, binary


@pytest.fixture
def quota_server(tmp_path):
    config = tmp_path / "otaru.toml"
    config.write_text('[quota]\nmode = "original"\n')
    server = Server(tmp_path, "--config", str(config)).start()
    yield server
    server.kill()


@pytest.mark.parametrize("client", [clouds.Core, clouds.Tea, clouds.PopCore], ids=lambda client: client.name)
def test_a_call_above_the_quota_is_throttled_in_the_words_of_the_client(quota_server, client):
    cloud = client(quota_server.http)
    given = {"FirmwareId": "f", "ProductKey": "a1unknown00", "DeviceName": "light1", "PageSize": 10, "CurrentPage": 1}
    with pytest.raises(clouds.Refused) as refused:
        # Ten a second are allowed; a client that calls as fast as it can is soon above that.
        for _ in range(2000):
            try:
                cloud.call("ListOTAJobByDevice", **given)
            except clouds.Refused as answer:
                if answer.code != "iot.prod.NotExistedProduct":
                    raise
    cloud.close()
    assert refused.value.code == "Throttling.User"
    assert "Request was denied due to user flow control." in refused.value.message


def test_the_first_start_makes_a_key_that_only_its_owner_may_read(tmp_path):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTARU_")}
    data = tmp_path / "data"
    command = [binary(), "serve", "--data", str(data), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True)
    lines = []
    while not (lines and lines[-1].startswith("ready ")):
        line = process.stdout.readline()
        assert line, f"ended before it was ready: {lines}"
        lines.append(line)
    file = data / "access-key.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    key = tomllib.loads(file.read_text())
    address = re.search(r"http=(\S+)", lines[-1])[1]
    cloud = clouds.Core(address, key["access_key_id"], key["access_key_secret"])
    assert refusal(cloud, "QueryProduct", ProductKey="a1unknown00")[0] == "iot.prod.NotExistedProduct"
    process.send_signal(signal.SIGTERM)
    lines += process.stdout.readlines()
    process.stdout.close()
    assert process.wait() == 0
    shown = "".join(lines)
    assert shown.count(key["access_key_secret"]) == 1, "shown once, at the first start"


def test_a_start_with_another_key_is_refused_with_a_sentence(own_server):
    own_server.stop()
    status, text = serve(own_server, OTARU_ACCESS_KEY_ID="another", OTARU_ACCESS_KEY_SECRET=KEY_SECRET)
    assert status != 0 and "key" in text and "panicked" not in text, text


def test_a_second_server_on_the_same_folder_is_refused_with_a_sentence(own_server):
    status, text = serve(own_server)
    assert status != 0 and str(own_server.data) in text and "panicked" not in text, text
    Fleet(clouds.Core(own_server.http))


def test_an_unknown_setting_is_refused_by_name(own_server, tmp_path):
    own_server.stop()
    config = tmp_path / "wrong.toml"
    config.write_text('colour = "blue"\n')
    status, text = serve(own_server, "--config", str(config))
    assert status != 0 and "colour" in text and "panicked" not in text, text


def test_what_was_made_is_there_after_a_clean_stop(own_server):
    fleet = Fleet(clouds.Core(own_server.http))
    device = fleet.device()
    assert own_server.stop() == 0
    own_server.start()
    assert fleet.detail(device["DeviceName"])["DeviceSecret"] == device["DeviceSecret"]


def serve(server, *arguments, **variables):
    """Exit status and all output of a start that has to be refused."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OTARU_")}
    environment |= {"OTARU_ACCESS_KEY_ID": KEY_ID, "OTARU_ACCESS_KEY_SECRET": KEY_SECRET} | variables
    command = [binary(), "serve", "--data", str(server.data), "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True, timeout=60)
    return done.returncode, done.stdout

"""The address where metrics are read."""

import re

import pytest
import requests

import cloud as clouds
import metrics
from fleet import Fleet
from device import WireDevice
from server import ROOT, Server, wait_for


@pytest.fixture
def counted(tmp_path):
    """A server whose metrics can be read."""
    server = Server(tmp_path, "--metrics", "127.0.0.1:0").start()
    yield server
    server.kill()


def test_nobody_listens_without_the_flag(server):
    assert server.metrics is None


def test_connections_and_refusals_are_counted(counted, closing):
    fleet = Fleet(clouds.Core(counted.http))
    device = fleet.device()
    assert closing(WireDevice(counted, device)).connect() == 0
    assert closing(WireDevice(counted, device | {"DeviceSecret": "0" * 32})).connect() == 4
    assert requests.get(counted.url + "/nowhere").status_code == 404
    assert requests.get(counted.url + "/").status_code == 400
    wait_for("only one device is left", lambda: metrics.value(counted, "otaru_connections", door="mqtt") == 1)
    assert metrics.value(counted, "otaru_connections_accepted_total", door="mqtt") == 2
    assert metrics.value(counted, "otaru_mqtt_connects_refused_total", reason="signature") == 1
    assert metrics.value(counted, "otaru_mqtt_connections_ended_total", phase="stranger", reason="refused") == 1
    assert metrics.value(counted, "otaru_http_requests_refused_total", code="NoSuchKey") == 1
    assert metrics.value(counted, "otaru_rpc_errors_total", code="Missing*") == 1


def test_only_get_metrics_is_served(counted):
    url = f"http://{counted.metrics}"
    assert requests.post(url + "/metrics").status_code == 405
    assert requests.get(url + "/").status_code == 404
    kind = requests.get(url + "/metrics").headers["Content-Type"]
    assert kind.startswith("application/openmetrics-text")


def test_the_manual_lists_every_metric_and_label_value(counted):
    manual = (ROOT / "docs" / "operating.md").read_text()
    section = manual.split("## Metrics")[1].split("\n## ")[0]
    words = set(re.findall(r"`([^`]+)`", section))
    for name, labels in metrics.read(counted):
        assert name.removesuffix("_total") in words, name
        for label, value in labels:
            assert label in words and value in words, f"{label}={value} of {name}"

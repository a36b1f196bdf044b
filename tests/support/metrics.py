"""What a server counts, as `GET /metrics` shows it."""

import re

import requests

from server import HANG_SECONDS

_LINE = re.compile(r"^(\w+?)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def read(server):
    """All series: {(name, frozenset of labels): value}."""
    answer = requests.get(f"http://{server.metrics}/metrics", timeout=HANG_SECONDS)
    assert answer.status_code == 200, answer.text
    series = {}
    for line in answer.text.splitlines():
        if not line.startswith("#"):
            name, labels, value = _LINE.match(line).groups()
            series[name, frozenset(_LABEL.findall(labels or ""))] = float(value)
    return series


def value(server, name, **labels):
    """The value of one series, which has to be there."""
    return read(server)[name, frozenset(labels.items())]

"""The file server, byte by byte: some device SDKs compare header names as text and follow nothing clever."""

import http.client
import socket
import urllib.parse

import pytest
import requests

from device import WireDevice
from fleet import md5

SIZE = 100_003


@pytest.fixture
def package(fleet):
    """A package's content and the address that a device was given for it."""
    content = bytes(n * 7 % 256 for n in range(SIZE))
    firmware, _ = fleet.package("2.0.0", content)
    return firmware, content


@pytest.fixture
def url(package, fleet, server, closing):
    device = fleet.device()
    fleet.static_job(package[0], [device["DeviceName"]], NeedPush=False)
    wire = closing(WireDevice(server, device))
    assert wire.connect() == 0
    return wire.ask()["data"]["url"]


def raw(url, headers="", method="GET"):
    """Status line, header lines and body as they come off the wire."""
    parts = urllib.parse.urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        request = f"{method} {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n{headers}\r\n"
        connection.sendall(request.encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, lines, body


def test_the_address_is_short_and_needs_no_escapes(url):
    parts = urllib.parse.urlsplit(url)
    assert len(url) <= 256
    assert not set('"\\&<>\'') & set(parts.path)
    assert "\\" not in url and '"' not in url


def test_the_length_is_spelled_as_old_devices_read_it(url, package):
    status, lines, body = raw(url)
    assert status == "HTTP/1.1 200 OK"
    assert f"Content-Length: {SIZE}" in lines
    assert "Accept-Ranges: bytes" in lines
    assert not [line for line in lines if line.lower().startswith(("transfer-encoding", "content-encoding", "location"))]
    assert body == package[1]
    assert sum(len(line) + 2 for line in lines) < 1024, "the header block of a small device"
    assert max(map(len, lines)) <= 128, "the header line of a small device"


def test_an_open_range_is_answered_with_206(url, package):
    status, lines, body = raw(url, "Range: bytes=0-\r\nAccept: text/html\r\nContent-Length: 0\r\n")
    assert status.startswith("HTTP/1.1 206 ")
    assert f"Content-Length: {SIZE}" in lines
    assert f"Content-Range: bytes 0-{SIZE - 1}/{SIZE}" in lines
    assert body == package[1]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("0-0", 0, 0),
        ("10-19", 10, 19),
        (f"{SIZE - 1}-", SIZE - 1, SIZE - 1),
        ("50000-", 50000, SIZE - 1),
        (f"99990-{SIZE * 10}", 99990, SIZE - 1),
        ("-5", SIZE - 5, SIZE - 1),
    ],
)
def test_a_range_is_cut_out_exactly(url, package, asked, first, last):
    response = requests.get(url, headers={"Range": f"bytes={asked}"})
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response.headers["Content-Length"] == str(last - first + 1)
    assert response.content == package[1][first : last + 1]


def test_a_download_in_parts_gives_the_file(url, package):
    content = b""
    for first in range(0, SIZE, 7001):
        last = min(first + 7000, SIZE - 1)
        content += requests.get(url, headers={"Range": f"bytes={first}-{last}"}).content
    assert md5(content) == md5(package[1])


def test_a_range_behind_the_end_is_refused(url):
    response = requests.get(url, headers={"Range": f"bytes={SIZE}-"})
    assert response.status_code == 416
    assert "<Code>InvalidRange</Code>" in response.text


def test_the_entity_tag_is_strong_and_the_same_for_all(url):
    tags = {requests.get(url, headers=headers).headers["ETag"] for headers in ({}, {"Range": "bytes=5-9"})}
    tags.add(requests.head(url).headers["ETag"])
    (tag,) = tags
    assert tag.startswith('"') and tag.endswith('"')


def test_a_head_request_tells_the_length_and_sends_nothing(url):
    status, lines, body = raw(url, method="HEAD")
    assert status == "HTTP/1.1 200 OK"
    assert f"Content-Length: {SIZE}" in lines
    assert body == b""


def altered(url):
    """The address with each letter and digit behind the host changed in turn, but for the suffix, which only informs."""
    parts = urllib.parse.urlsplit(url)
    start = len(f"{parts.scheme}://{parts.netloc}")
    suffix = range(start + parts.path.rindex("."), start + len(parts.path))
    for at, old in enumerate(url):
        if at >= start and at not in suffix and old.isalnum():
            yield url[:at] + ("1" if old != "1" else "2") + url[at + 1 :]
    yield urllib.parse.urlunsplit(parts._replace(query=""))


def test_no_altered_address_yields_the_file(url):
    refused = set()
    for other in altered(url):
        response = requests.get(other)
        assert response.status_code in (403, 404), (other, response.status_code)
        refused.add(response.status_code)
    assert 403 in refused


def test_a_path_trick_yields_no_file(server, url):
    parts = urllib.parse.urlsplit(url)
    for path in ("/../../etc/passwd", "/..%2f..%2fetc/passwd", parts.path + "/../../otaru.db", "/%00"):
        connection = http.client.HTTPConnection(server.http)
        connection.request("GET", f"{path}?{parts.query}")
        response = connection.getresponse()
        assert response.status in (400, 403, 404), path
        assert b"root:" not in response.read()
        connection.close()

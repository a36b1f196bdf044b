"""Requests of devices over HTTP, byte by byte."""

import json
import socket

from server import HANG_SECONDS


def exchange(server, request):
    """Head and body of the answer to a request that is sent as it is; the connection stays open, as with the SDKs."""
    host, port = server.http.split(":")
    with socket.create_connection((host, int(port)), timeout=HANG_SECONDS) as connection:
        connection.sendall(request.encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += _some(connection, data)
        head, _, body = data.partition(b"\r\n\r\n")
        # Letter by letter, as the C SDKs look for it.
        length = int(head.split(b"\r\nContent-Length: ")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += _some(connection, data)
    return head.decode(), body.decode()


def _some(connection, before):
    part = connection.recv(4096)
    assert part, f"the server closed after {before!r}"
    return part


def answered(server, request):
    head, body = exchange(server, request)
    assert head.startswith("HTTP/1.1 200 OK\r\n"), head
    assert "transfer-encoding" not in head.lower(), head
    answer = json.loads(body)
    assert json.dumps(answer, separators=(",", ":"), ensure_ascii=False) == body, "compact"
    return answer

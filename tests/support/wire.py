"""A device of a few lines on a bare socket, which knows exactly what it sent and what was acknowledged."""

import json
import socket
import struct

from device import credentials
from server import HANG_SECONDS

CONNECT, CONNACK, PUBLISH, PUBACK, DISCONNECT = 1, 2, 3, 4, 14


def text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def announced(first, size):
    """The header of a packet, with a length of one to four bytes."""
    header = bytes([first])
    while True:
        size, low = divmod(size, 128)
        header += bytes([low | (128 if size else 0)])
        if not size:
            return header


def packet(first, body):
    return announced(first, len(body)) + body


def connect_packet(device, keepalive=60, protocol="MQTT", level=4, flags=0xC2):
    """CONNECT with the credentials of the device; the defaults are those of MQTT 3.1.1 with a clean session."""
    client_id, username, password = credentials(device)
    head = text(protocol) + bytes([level, flags]) + struct.pack(">H", keepalive)
    return packet(CONNECT << 4, head + text(client_id) + text(username) + text(password))


class Wire:
    """Several reports may be on their way at once; `acknowledged` counts those that the server has answered, in order."""

    def __init__(self, port, device):
        self.product_key, self.name = device["ProductKey"], device["DeviceName"]
        self.sent = self.acknowledged = 0
        # Versions that pushes told it to go to, in order.
        self.told = []
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.settimeout(HANG_SECONDS)
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(connect_packet(device))
        assert self._read() == (CONNACK << 4, b"\x00\x00")

    def report(self, kind, **params):
        """Send an inform or a progress report at QoS 1."""
        self.sent += 1
        topic = f"/ota/device/{kind}/{self.product_key}/{self.name}"
        payload = json.dumps({"id": self.sent, "params": params}).encode()
        self.socket.sendall(packet(PUBLISH << 4 | 2, text(topic) + struct.pack(">H", self._id(self.sent)) + payload))

    def settle(self, open_at_most=0):
        """Read until no more than that many reports are unanswered."""
        while self.sent - self.acknowledged > open_at_most:
            first, body = self._read()
            if first >> 4 == PUBACK:
                self.acknowledged += 1
                assert struct.unpack(">H", body) == (self._id(self.acknowledged),), "acknowledged out of order"
            elif first >> 4 == PUBLISH and first & 6:
                at = 2 + struct.unpack(">H", body[:2])[0]
                if body[2:at].startswith(b"/ota/device/upgrade/"):
                    self.told.append(json.loads(body[at + 2 :])["data"]["version"])
                self.socket.sendall(packet(PUBACK << 4, body[at : at + 2]))

    @staticmethod
    def _id(number):
        return number % 65535 + 1

    def _read(self):
        first, size, shift = self._exactly(1)[0], 0, 0
        while True:
            byte = self._exactly(1)[0]
            size |= (byte & 127) << shift
            if byte < 128:
                return first, self._exactly(size)
            shift += 7

    def _exactly(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            raise ConnectionError("the server closed the connection")
        return data

    def close(self):
        self.stream.close()
        self.socket.close()


class Dialogue:
    """A bare socket for packets of any content; gives the bytes that come back."""

    def __init__(self, port, wrap=lambda plain: plain):
        self.socket = wrap(socket.create_connection(("127.0.0.1", port)))
        self.socket.settimeout(HANG_SECONDS)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def connect(self, client_id, username, password, clean=True, keepalive=60, level=4):
        """The whole answer to a CONNECT, however it is spelled."""
        flags = 0xC0 | (2 if clean else 0)
        head = text("MQTT") + bytes([level, flags]) + struct.pack(">H", keepalive) + (b"\x00" if level == 5 else b"")
        return self.exchange(packet(CONNECT << 4, head + text(client_id) + text(username) + text(password)))

    def exchange(self, request):
        """Sends a packet and returns the next one."""
        self.socket.sendall(request)
        return self.packet()

    def packet(self):
        """The next packet, whose length has to fit into one byte."""
        head = self._exactly(2)
        assert head[1] < 128
        return head + self._exactly(head[1])

    def message(self):
        """Topic and payload of the next packet, which has to be a message at QoS 0."""
        head = self._exactly(2)
        assert head[0] == PUBLISH << 4
        length = head[1] if head[1] < 128 else head[1] - 128 + self._exactly(1)[0] * 128
        body = self._exactly(length)
        end = 2 + struct.unpack(">H", body[:2])[0]
        return body[2:end].decode(), body[end:]

    def is_closed(self):
        """Whether the server says nothing more and closes."""
        return self.socket.recv(1) == b""

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            assert part, f"the server closed after {data!r}"
            data += part
        return data

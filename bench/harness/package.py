"""Package files: uploaded through the form, found again by the URL that a device is pushed."""

import http.client
import secrets
import socket
import struct
import json
import time
import hmac
import urllib.parse

BOUNDARY = "otaru-bench-boundary"
CHUNK = 1 << 20


def noise(size):
    """Bytes that nothing compresses; a block over and over, since hashing does not care."""
    block = secrets.token_bytes(min(size, CHUNK))
    return b"".join([block] * (size // len(block))) + block[: size % len(block)]


def upload(otaru, content):
    """Uploads a file; its ticket and how many seconds the transfer took."""
    ticket = otaru.call("GenerateOTAUploadURL", FileSuffix="bin")["Data"]
    fields = {"key": ticket["Key"], "policy": ticket["Policy"], "OSSAccessKeyId": ticket["OSSAccessKeyId"],
              "signature": ticket["Signature"], "success_action_status": "200"}
    head = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items())
    head += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'
    head, tail = head.encode(), f"\r\n--{BOUNDARY}--\r\n".encode()
    to = urllib.parse.urlparse(ticket["Host"])
    connection = http.client.HTTPConnection(to.hostname, to.port)
    begun = time.perf_counter()
    connection.putrequest("POST", "/")
    connection.putheader("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")
    connection.putheader("Content-Length", str(len(head) + len(content) + len(tail)))
    connection.endheaders(head)
    view = memoryview(content)
    for at in range(0, len(content), CHUNK):
        connection.send(view[at : at + CHUNK])
    connection.send(tail)
    status = connection.getresponse().status
    took = time.perf_counter() - begun
    connection.close()
    if status != 200:
        raise RuntimeError(f"the upload was answered with {status}")
    return ticket, took


def package(otaru, product_key, content):
    """Uploads a package of a version that no device has; its id."""
    ticket, _ = upload(otaru, content)
    serial = secrets.token_hex(6)
    reply = otaru.call("CreateOTAFirmware", FirmwareName=f"bench-{serial}", DestVersion=f"2.0.{serial}", ProductKey=product_key,
                       FirmwareUrl=ticket["FirmwareUrl"], NeedToVerify="false")
    return reply["Data"]["FirmwareId"]


def download_url(otaru, device, firmware_id):
    """Where a device is told to fetch the package: it connects, a job is made for it, the push is read."""
    product_key, name, secret = device
    otaru.call("CreateOTAStaticUpgradeJob", FirmwareId=firmware_id, ProductKey=product_key, TargetSelection="SPECIFIC",
               **{"TargetDeviceName.1": name, "OverwriteMode": 2})
    host, port = otaru.mqtt.rsplit(":", 1)
    client_id = f"{product_key}.{name}"
    content = f"clientId{client_id}deviceName{name}productKey{product_key}"
    password = hmac.new(secret.encode(), content.encode(), "sha256").hexdigest()
    body = _text("MQTT") + bytes([4, 0xC2]) + struct.pack(">H", 60)
    body += _text(f"{client_id}|securemode=3,signmethod=hmacsha256|") + _text(f"{name}&{product_key}") + _text(password)
    with socket.create_connection((host, int(port))) as line:
        line.sendall(b"\x10" + _length(len(body)) + body)
        stream = line.makefile("rb")
        while True:
            first, payload = _packet(stream)
            if first >> 4 != 3:
                continue
            topic = struct.unpack(">H", payload[:2])[0]
            at = 2 + topic + (2 if first & 6 else 0)
            message = json.loads(payload[at:])
            if "/upgrade/" in payload[2 : 2 + topic].decode():
                return message["data"]["url"]


def _text(value):
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def _length(size):
    digits = b""
    while True:
        size, low = divmod(size, 128)
        digits += bytes([low | (128 if size else 0)])
        if not size:
            return digits


def _packet(stream):
    first, size, shift = stream.read(1)[0], 0, 0
    while True:
        byte = stream.read(1)[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return first, stream.read(size)

"""Upgrades through MQTT, by a client that behaves as the vendor's C component does."""

import hashlib
import json
import struct

import pytest

from device import WireDevice
from fleet import of_status, refusal

BLOCK = 5120  # what the C component asks for by default


def crc16_arc(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


class BlockDevice(WireDevice):
    """Asks for one block at a time, at QoS 0, in JSON with a comma too many."""

    def ask_block(self, stream, offset, size=BLOCK, qos=0):
        self.ids = getattr(self, "ids", 0) + 1
        topic = f"/sys/{self.product_key}/{self.name}/thing/file/download"
        request = (
            f'{{"id":"{self.ids}","version":"1.0","params":{{"fileToken":"default",'
            f'"fileInfo":{{"streamId":{stream},"fileId":1,}},"fileBlock":{{"size":{size},"offset":{offset}}}}}}}'
        )
        self.publish(topic, request, qos)
        payload = self.next_message(topic + "_reply").payload
        (length,) = struct.unpack(">H", payload[:2])
        answer, data = json.loads(payload[2 : 2 + length]), payload[2 + length : -2]
        assert answer["id"] == str(self.ids)
        assert struct.unpack("<H", payload[-2:]) == (crc16_arc(data),)
        return answer, data

    def fetch(self, push):
        content = b""
        while len(content) < push["size"]:
            answer, data = self.ask_block(push["streamId"], len(content))
            assert answer["code"] == 200, answer
            block = answer["data"]
            assert (block["bOffset"], block["fileLength"], block["bSize"]) == (len(content), push["size"], len(data))
            content += data
        assert hashlib.md5(content).hexdigest() == push["md5"]
        return content


@pytest.fixture
def device(server, fleet, closing):
    wire = closing(BlockDevice(server, fleet.device()))
    assert wire.connect() == 0
    wire.report_version("1.0.0")
    return wire


def test_an_upgrade_through_mqtt_from_push_to_success(device, fleet):
    firmware, content = fleet.package("2.0.0", content=bytes(range(256)) * 200 + b"the end")
    job = fleet.static_job(firmware, [device.name], DownloadProtocol="MQTT")
    push = device.next_push()["data"]
    assert "url" not in push
    assert (push["dProtocol"], push["streamFileId"], push["size"]) == ("mqtt", 1, len(content))
    assert 1 <= push["streamId"] < 2**31
    assert device.fetch(push) == content
    # Blocks alone move nothing.
    assert fleet.task(job)["TaskStatus"] == "NOTIFIED"
    device.report_progress(100)
    again = device.ask()["data"]
    assert (again["streamId"], again["dProtocol"]) == (push["streamId"], "mqtt")
    assert device.ask_block(push["streamId"], 0, 131_072, qos=1)[1] == content
    device.report_version("2.0.0")
    assert of_status(fleet.task(job), "SUCCEEDED")
    assert device.ask_block(push["streamId"], 0)[0]["code"] == 460


def test_a_stream_is_good_for_its_own_device_and_within_its_file(device, server, fleet, closing):
    firmware, content = fleet.package("2.0.0", content=b"x" * 5092)
    fleet.static_job(firmware, [device.name], DownloadProtocol="MQTT")
    stream = device.next_push()["data"]["streamId"]
    stranger = closing(BlockDevice(server, fleet.device()))
    assert stranger.connect() == 0
    answer, data = stranger.ask_block(stream, 0)
    assert (answer["code"], answer["data"], data) == (460, {}, b"")
    for offset, size in [(5092, 256), (2**40, 256), (0, 0), (0, 131_073), (-1, 256)]:
        assert device.ask_block(stream, offset, size)[0]["code"] == 460, (offset, size)
    assert device.ask_block(stream, 5000, 256)[1] == content[5000:]

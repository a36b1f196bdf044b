"""Devices: the vendor's device SDK as published, and a paho-mqtt client with the vendor's credentials."""

import collections
import hashlib
import hmac
import json
import pathlib
import queue
import ssl
import threading

import paho.mqtt.client as paho
from linkkit import linkkit

from server import HANG_SECONDS, wait_for

Push = collections.namedtuple("Push", "kind version size url sign_method sign module extra")
KIND_PUSH, KIND_REPLY = 1, 2  # what the SDK calls the upgrade message and the answer to a pull


class OneAtATime(ssl.SSLSocket):
    """A socket under TLS that one thread at a time reads or writes.

    The SDK reads in a thread of its own, which also acknowledges pushes, while `publish_topic` writes at once, from the
    thread of the caller. OpenSSL allows no two calls on one connection at the same time, and this version of Python lets
    both through (gh-134698: newer ones keep them apart by themselves). System calls of failing runs show both threads
    send the very same record, which replaced the other one's; its number is used twice, so the server has to answer
    `bad_record_mac` and close (RFC 8446, 5.2). The SDK then takes the same push up again and again, and never connects anew.
    """

    def __new__(cls, *arguments, **named):
        self = super().__new__(cls, *arguments, **named)
        self.turn = threading.Lock()
        return self

    def send(self, *arguments):
        with self.turn:
            return super().send(*arguments)

    def recv(self, *arguments):
        with self.turn:
            return super().recv(*arguments)


class SdkDevice:
    """A device built on aliyun-iot-linkkit. It reports its version at every connect, as devices should."""

    def __init__(self, server, device, version, folder, tls=False):
        self.product_key, self.name = device["ProductKey"], device["DeviceName"]
        self.version, self.folder = version, pathlib.Path(folder)
        self.pushes, self.connects = queue.Queue(), queue.Queue()
        self.kit = linkkit.LinkKit(
            host_name="127.0.0.1",
            product_key=self.product_key,
            device_name=self.name,
            device_secret=device["DeviceSecret"],
        )
        if tls:
            # The SDK makes its context by itself, so that this is said of all of them.
            ssl.SSLContext.sslsocket_class = OneAtATime
            # The same CA serves the downloads.
            self.kit.config_mqtt(port=server.mqtts_port, endpoint="localhost", cadata=server.ca.read_text())
        else:
            self.kit.config_mqtt(port=server.mqtt_port, secure="")
        self.kit.on_connect = self._on_connect
        self.kit.on_ota_message_arrived = lambda *message: self.pushes.put(Push(*message))

    def _on_connect(self, _session, code, _user_data):
        if code == 0:
            self.report_version(self.version)
            self.connects.put(code)

    def connect(self):
        self.kit.connect_async()
        self.connects.get(timeout=HANG_SECONDS)
        return self

    def report_version(self, version, module=None):
        self.version = version
        # What it returns says nothing: the SDK compares paho's result object with a number.
        self.kit.ota_report_version(module, version)

    def report_progress(self, step, text=""):
        payload = json.dumps({"id": "1", "params": {"step": str(step), "desc": text, "module": "default"}})
        topic = f"/ota/device/progress/{self.product_key}/{self.name}"
        # A push can arrive before the SDK calls itself connected again; until then it refuses to publish.
        wait_for("the SDK publishes", lambda: self.kit.publish_topic(topic, payload, 1)[0] == 0)

    def ask(self):
        self.kit.query_ota_firmware()

    def next_push(self):
        return self.pushes.get(timeout=HANG_SECONDS)

    def download(self, push):
        """Fetch the file with the SDK's own downloader, which also verifies the digest; returns the bytes."""
        path = self.folder / f"{self.name}-{push.version}.bin"
        code = self.kit.download_ota_firmware(push.url, str(path), push.sign_method, push.sign)
        assert code == linkkit.LinkKit.ErrorCode.SUCCESS, code
        return path.read_bytes()

    def upgrade(self, push):
        """Do all that a device does once it was told; returns the downloaded bytes."""
        self.report_progress(1, "start")
        content = self.download(push)
        self.report_progress(100, "done")
        self.report_version(push.version)
        return content

    def close(self):
        self.kit.destruct()


METHODS = {"hmacmd5": hashlib.md5, "hmacsha1": hashlib.sha1, "hmacsha256": hashlib.sha256}


def credentials(device, method="hmacsha256", timestamp="2524608000000", base=None):
    """Client id, username and password of a device, by the rule all of the vendor's SDKs share."""
    product_key, name = device["ProductKey"], device["DeviceName"]
    base = f"{product_key}.{name}" if base is None else base
    content = f"clientId{base}deviceName{name}productKey{product_key}timestamp{timestamp}"
    password = hmac.new(device["DeviceSecret"].encode(), content.encode(), METHODS[method]).hexdigest()
    client_id = f"{base}|securemode=3,signmethod={method},timestamp={timestamp}|"
    return client_id, f"{name}&{product_key}", password


class WireDevice:
    """A paho-mqtt client in the role of a device: what arrives and what is acknowledged lies in queues.

    `certificate`: a file with one and its key, to show under TLS. `login`: client id, username and password as they are."""

    def __init__(
        self, server, device, clean_session=True, tls=False, websocket=None, certificate=None, login=None, version=paho.MQTTv311, **how
    ):  # fmt: skip
        self.product_key, self.name = device["ProductKey"], device["DeviceName"]
        client_id, username, password = login or credentials(device, **how)
        self.messages, self.connacks, self.subacks, self.ends = (queue.Queue() for _ in range(4))
        address = (server.https if tls else server.http) if websocket else (server.mqtts if tls else server.mqtt)
        self.port = int(address.rsplit(":", 1)[1])
        self.client = paho.Client(
            client_id=client_id,
            clean_session=None if version == paho.MQTTv5 else clean_session,
            protocol=version,
            reconnect_on_failure=False,
            transport="websockets" if websocket else "tcp",
        )
        if websocket:
            self.client.ws_set_options(path=websocket)
        self.client.username_pw_set(username, password)
        if tls:
            self.client.tls_set(ca_certs=str(server.ca), certfile=certificate, keyfile=certificate)
        self.client.on_connect = lambda _c, _u, _f, code, _p=None: self.connacks.put(int(getattr(code, "value", code)))
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_subscribe = lambda _c, _u, _mid, granted: self.subacks.put(granted)
        self.client.on_disconnect = lambda _c, _u, code, _p=None: self.ends.put(code)

    def connect(self):
        """The CONNACK code."""
        self.client.connect("127.0.0.1", self.port, keepalive=60)
        self.client.loop_start()
        return self.connacks.get(timeout=HANG_SECONDS)

    def publish(self, topic, payload, qos=1):
        """Returns once the server has acknowledged."""
        text = payload if isinstance(payload, (bytes, str)) else json.dumps(payload)
        message = self.client.publish(topic, text, qos)
        message.wait_for_publish(HANG_SECONDS)
        assert message.is_published(), f"no acknowledgement of {topic}"

    def report_version(self, version):
        self.publish(f"/ota/device/inform/{self.product_key}/{self.name}", {"id": 1, "params": {"version": version}})

    def report_progress(self, step):
        topic = f"/ota/device/progress/{self.product_key}/{self.name}"
        self.publish(topic, {"id": 1, "params": {"step": step, "desc": ""}})

    def ask(self, module=None):
        topic = f"/sys/{self.product_key}/{self.name}/thing/ota/firmware/get"
        params = {} if module is None else {"module": module}
        self.publish(topic, {"id": "7", "version": "1.0", "params": params, "method": "thing.ota.firmware.get"})
        return json.loads(self.next_message(topic + "_reply").payload)

    def subscribe(self, topic, qos=1):
        self.client.subscribe(topic, qos)
        return self.subacks.get(timeout=HANG_SECONDS)

    def next_message(self, topic=None):
        """The next message, of that topic when one is named."""
        while True:
            message = self.messages.get(timeout=HANG_SECONDS)
            if topic in (None, message.topic):
                return message

    def next_push(self):
        return json.loads(self.next_message(f"/ota/device/upgrade/{self.product_key}/{self.name}").payload)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

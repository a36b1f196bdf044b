"""A device that speaks MQTT 5.0, on paho-mqtt."""

import queue
import socket

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from device import WireDevice, credentials
from server import HANG_SECONDS


def properties(kind, **values):
    """Properties of a packet, by the names that paho gives them."""
    made = Properties(getattr(PacketTypes, kind))
    for name, value in values.items():
        setattr(made, name, value)
    return made


class FiveDevice(WireDevice):
    """As WireDevice: what arrives lies in queues; `welcome` is what CONNACK says beside its reason."""

    def __init__(self, server, device, will=None, **how):
        self.product_key, self.name = device["ProductKey"], device["DeviceName"]
        client_id, username, password = credentials(device, **how)
        self.messages, self.connacks, self.subacks, self.unsubacks, self.ends = (queue.Queue() for _ in range(5))
        self.port, self.welcome = server.mqtt_port, None
        self.client = paho.Client(client_id=client_id, protocol=paho.MQTTv5, reconnect_on_failure=False)
        self.client.username_pw_set(username, password)
        if will:
            self.client.will_set(**will)
        self.client.on_connect = self._on_connect
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        self.client.on_subscribe = lambda _c, _u, _mid, codes, _p: self.subacks.put([code.value for code in codes])
        self.client.on_unsubscribe = lambda _c, _u, _mid, _p, codes: self.unsubacks.put(codes)
        self.client.on_disconnect = lambda _c, _u, code, _p=None: self.ends.put(code)

    def _on_connect(self, _client, _user, flags, code, welcome):
        self.welcome, self.session_present = welcome, flags["session present"]
        self.connacks.put(code.value)

    def connect(self, clean_start=True, **values):
        """The reason code of CONNACK; `values` are properties of CONNECT."""
        self.client.connect(
            "127.0.0.1", self.port, keepalive=60, clean_start=clean_start, properties=properties("CONNECT", **values)
        )
        self.client.loop_start()
        return self.connacks.get(timeout=HANG_SECONDS)

    def subscribe(self, topic, qos=1, number=None, **options):
        """The reason codes of SUBACK."""
        said = properties("SUBSCRIBE", **({"SubscriptionIdentifier": number} if number else {}))
        self.client.subscribe(topic, options=SubscribeOptions(qos=qos, **options), properties=said)
        return self.subacks.get(timeout=HANG_SECONDS)

    def end(self):
        """The reason that the server gives when it closes the connection."""
        return self.ends.get(timeout=HANG_SECONDS).value

    def vanish(self):
        """Ends the connection without a word."""
        self.client.socket().shutdown(socket.SHUT_RDWR)
        self.ends.get(timeout=HANG_SECONDS)

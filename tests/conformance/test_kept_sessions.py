"""Sessions that outlive their connection, with paho-mqtt and mosquitto_sub, and over a kill -9 of the server."""

import base64

import pytest

import cloud as clouds
import mosquitto
from device import WireDevice
from fleet import Fleet


def own(device, rest="/user/get"):
    return f"/{device['ProductKey']}/{device['DeviceName']}{rest}"


def tell(core, device, text, qos=1, topic=None):
    content = base64.b64encode(text.encode()).decode()
    core.ok("Pub", ProductKey=device["ProductKey"], TopicFullName=topic or own(device), MessageContent=content, Qos=qos)


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311"])
def test_mosquitto_finds_what_came_while_it_was_away(server, fleet, core, closing, version):
    device = fleet.device()
    fleet.topic(f"set/{version}", "SUB")
    # It subscribes, is told something and leaves by itself; its subscription stays.
    listener = closing(mosquitto.Subscriber(server, device, own(device), "-c", version=version)).wait_for("Subscribed")
    tell(core, device, "while connected")
    assert listener.messages() == [(own(device), "while connected")]
    for n in range(5):
        tell(core, device, f"message {n}")
    tell(core, device, "at most once", qos=0)
    tell(core, device, "not subscribed", topic=own(device, f"/user/set/{version}"))
    listener = closing(mosquitto.Subscriber(server, device, own(device), "-c", count=5, version=version))
    assert listener.messages() == [(own(device), f"message {n}") for n in range(5)]
    # A clean session forgets.
    tell(core, device, "forgotten")
    closing(mosquitto.Subscriber(server, device, own(device), version=version)).wait_for("Subscribed").close()
    tell(core, device, "nobody is subscribed")
    listener = closing(mosquitto.Subscriber(server, device, own(device), "-c", version=version)).wait_for("Subscribed")
    tell(core, device, "new")
    assert listener.messages() == [(own(device), "new")]


def heard(device, count):
    return [device.next_message().payload.decode() for _ in range(count)]


def test_what_pub_was_answered_for_survives_a_kill_of_the_server(own_server, closing):
    core = clouds.Core(own_server.http)
    device = Fleet(core).device()
    listener = closing(WireDevice(own_server, device, clean_session=False))
    assert listener.connect() == 0
    assert listener.subscribe(own(device)) == (1,)
    listener.close()
    texts = [f"message {n}" for n in range(150)]
    for text in texts:
        tell(core, device, text)
    own_server.kill()
    own_server.start()
    # More than may be under way at once, so what is acknowledged makes room for the rest.
    listener = closing(WireDevice(own_server, device, clean_session=False))
    assert listener.connect() == 0
    assert heard(listener, len(texts)) == texts
    # What is said to a device that is connected is as safe.
    tell(core, device, "last")
    own_server.kill()
    own_server.start()
    again = closing(WireDevice(own_server, device, clean_session=False))
    assert again.connect() == 0
    tell(core, device, "end")
    seen = []
    while not seen or seen[-1] != "end":
        seen += heard(again, 1)
    before = set()
    while not listener.messages.empty():
        before.add(listener.messages.get_nowait().payload.decode())
    assert "last" in before | set(seen), "it came before the kill or after it"
    # Whatever comes again does so in order.
    order = [*texts, "last", "end"]
    assert seen == sorted(seen, key=order.index)

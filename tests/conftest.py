"""Fixtures of the tests that run against a real `otaru serve`."""

import pytest

import cloud as clouds
from abuse import Crowd, Witness
from fleet import Fleet
from server import Server
from tls import TLS_LISTENERS


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory):
    """One server for all tests that leave it running; each makes its own product in it."""
    server = Server(tmp_path_factory.mktemp("otaru")).start()
    yield server
    assert server.stop() == 0, f"SIGTERM did not end the server cleanly:\n{server.log_tail()}"


@pytest.fixture
def server(shared_server):
    """The shared server, and a proof that the test did not stop it."""
    yield shared_server
    assert shared_server.running, f"the server ended:\n{shared_server.log_tail()}"


@pytest.fixture
def own_server(tmp_path):
    """A server of this test alone, which it may kill and start again."""
    server = Server(tmp_path).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def shared_tls_server(tmp_path_factory):
    """One server with listeners under TLS, for all tests that leave it as it is."""
    server = Server(tmp_path_factory.mktemp("otaru-tls"), *TLS_LISTENERS, "--metrics", "127.0.0.1:0").start()
    yield server
    assert server.stop() == 0, f"SIGTERM did not end the server cleanly:\n{server.log_tail()}"


@pytest.fixture
def tls_server(shared_tls_server):
    yield shared_tls_server
    assert shared_tls_server.running, f"the server ended:\n{shared_tls_server.log_tail()}"


@pytest.fixture(params=clouds.CLIENTS, ids=lambda client: client.name)
def cloud(request, server):
    """The account through each of the official clients in turn."""
    cloud = request.param(server.http)
    yield cloud
    cloud.close()


@pytest.fixture
def core(server):
    return clouds.Core(server.http)


@pytest.fixture
def tea(server):
    return clouds.Tea(server.http)


@pytest.fixture
def fleet(core):
    """A product of its own, for tests in which the client does not matter."""
    return Fleet(core)


@pytest.fixture
def closing():
    """Collects devices and closes them at the end of the test."""
    opened = []

    def remember(device):
        opened.append(device)
        return device

    yield remember
    for device in reversed(opened):
        device.close()


@pytest.fixture
def abused(tmp_path):
    """A server with small limits, to which each address of the loopback is one of its own, and its witness."""
    servers = []

    def abused(*flags):
        server = Server(tmp_path, "--metrics", "127.0.0.1:0", "--doors-exempt-loopback", "false", *flags).start()
        servers.append(server)
        return Witness(server)

    yield abused
    for server in servers:
        server.kill()


@pytest.fixture
def crowd():
    crowd = Crowd()
    yield crowd
    crowd.close()

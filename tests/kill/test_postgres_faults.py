"""Databases that Otaru can't use, or that are somebody else's: each is refused by a sentence that says what to do, and left
as it was."""

import os
import pathlib
import subprocess

import pytest

import cloud as clouds
from fleet import Fleet
from postgres import Cluster, sql
from server import Server, binary

GUARDED = "hostssl all guarded 127.0.0.1/32 scram-sha-256\nhostnossl all guarded 127.0.0.1/32 reject\n"
PASSWORD = "s3cret-and-long"


def certify(folder):
    """A certificate of the server that signs itself, in the cluster's folder."""
    crt, key = folder / "server.crt", folder / "server.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "7",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", crt],
                   check=True, capture_output=True)
    key.chmod(0o600)
    if os.geteuid() == 0:
        owner = folder.stat()
        for file in (crt, key):
            os.chown(file, owner.st_uid, owner.st_gid)
    return crt


@pytest.fixture(scope="module")
def cluster():
    """A cluster with TLS, and a user `guarded` who has to come by it with a password."""
    cluster = Cluster().start()
    data = pathlib.Path(cluster.folder) / "data"
    certify(data)
    rules = data / "pg_hba.conf"
    rules.write_text(GUARDED + rules.read_text())
    sql(cluster.url, f"CREATE USER guarded PASSWORD '{PASSWORD}' CREATEDB", "ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
    cluster.stop()
    cluster.start()
    yield cluster
    cluster.close()


def guarded(cluster, name, mode, password=PASSWORD):
    """A database of the guarded user's own, and the URL by which he comes."""
    url = cluster.database(name)
    sql(cluster.url, f"ALTER DATABASE {name} OWNER TO guarded")
    user = f"guarded:{password}@" if password else "guarded@"
    return url.replace("otaru@", user) + f"?sslmode={mode}"


def run(*arguments, **environment):
    """How a command ended, and what it said."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTARU_", "PG"))}
    ended = subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True, timeout=60, env=clean | environment)
    return ended.returncode, ended.stderr


def refused(folder, store, **environment):
    """The sentence with which a server doesn't start."""
    status, said = run("serve", "--data", folder, "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--store", store, **environment)
    assert status != 0 and "panicked" not in said, said
    assert PASSWORD not in said and "mistaken" not in said, said
    return said


def serves(folder, store):
    """Whether a server starts there, writes and ends."""
    server = Server(folder, store=store).start()
    try:
        assert Fleet(clouds.Core(server.http)).device()
    finally:
        assert server.stop() == 0


def test_a_wrong_password_and_none_are_told_from_each_other(cluster, tmp_path):
    wrong = refused(tmp_path / "a", guarded(cluster, "a", "require", "mistaken"))
    assert "check the user and the password" in wrong, wrong
    assert "check the user and the password" in refused(tmp_path / "a", guarded(cluster, "a", "require", ""), PGPASSWORD="mistaken")
    none = refused(tmp_path / "a", guarded(cluster, "a", "require", ""))
    assert "put one into the URL or into PGPASSWORD" in none, none


def test_a_server_speaks_tls_to_its_database(cluster, tmp_path):
    crt = pathlib.Path(cluster.folder) / "data" / "server.crt"
    server = Server(tmp_path, store=guarded(cluster, "b", "require")).start()
    try:
        assert Fleet(clouds.Core(server.http)).device()
        of_ours = "pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'otaru' AND datname = 'b'"
        assert sql(cluster.url, f"SELECT bool_and(ssl), count(*) > 1 FROM {of_ours}") == "t|t"
    finally:
        assert server.stop() == 0
    plain = refused(tmp_path / "c", guarded(cluster, "b", "disable"))
    assert "pg_hba.conf" in plain, plain
    known = tmp_path / "known.crt"
    known.write_bytes(crt.read_bytes())
    serves(tmp_path, guarded(cluster, "b", "verify-full") + f"&sslrootcert={known}")
    other = certify(tmp_path)
    stranger = refused(tmp_path / "c", guarded(cluster, "b", "verify-full") + f"&sslrootcert={other}")
    assert "check sslmode and sslrootcert" in stranger, stranger


def test_a_database_of_another_encoding_is_refused(cluster, tmp_path):
    sql(cluster.url, "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    said = refused(tmp_path, cluster.url.replace("/postgres", "/latin"))
    assert "LATIN1" in said and "ENCODING 'UTF8' TEMPLATE template0" in said, said


def test_a_database_that_is_not_there_is_refused_with_how_to_make_it(cluster, tmp_path):
    said = refused(tmp_path, cluster.url.replace("/postgres", "/nowhere"))
    assert "CREATE DATABASE" in said, said


def test_a_command_does_not_take_a_database_from_a_server(cluster, tmp_path):
    store = cluster.database("worked")
    server = Server(tmp_path / "first", store=store)
    server.folder.mkdir()
    server.start()
    try:
        # A copy of the folder, as on another machine.
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("lock", "access-key.toml", "secret"):
            if (server.data / name).exists():
                (copy / name).write_bytes((server.data / name).read_bytes())
        for command in (["key", "list"], ["key", "create"], ["export", "-"]):
            status, said = run(*command, "--data", copy, "--store", store)
            assert status != 0 and "a server works on" in said and "pg_terminate_backend" in said, said
        assert Fleet(clouds.Core(server.http)).device(), "it still has its database"
    finally:
        assert server.stop() == 0
    status, said = run("key", "list", "--data", server.data, "--store", store)
    assert status == 0, said


def test_a_new_folder_beside_a_database_with_rows_is_refused_and_stays_new(cluster, tmp_path):
    store = cluster.database("kept")
    serves(tmp_path, store)
    fresh = tmp_path / "fresh"
    for environment in ({}, {"OTARU_ACCESS_KEY_ID": "another", "OTARU_ACCESS_KEY_SECRET": "key"}):
        said = refused(fresh, store, **environment)
        assert "holds the rows of another data folder" in said and "access-key.toml" in said, said
        assert not (fresh / "access-key.toml").exists()
    # The server whose rows they are goes on with the database as it was.
    serves(tmp_path, store)

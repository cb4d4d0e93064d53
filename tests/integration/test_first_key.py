"""The first key of real servers, also of several that start at the same time."""

import re

import pytest

from corvo_client import Client
from server_support.engines import NewStorage
from server_support.process import Process
from support.server import StartServer, server_command

KEY = re.compile("^corvo_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$", re.MULTILINE)


def test_server_prints_its_first_key_once(make_server: StartServer) -> None:
    server = make_server(expects_errors=True, bootstrap_key=True)  # the key is no JSON
    server.start()
    (key,) = KEY.findall("".join(server.lines))
    server.stop()
    server.restart()
    assert KEY.findall("".join(server.lines)) == [key]
    with Client(server.url, api_key=key) as client:
        status = client.auth_status()
    assert status.key is not None
    assert (status.key.name, status.key.roles) == ("admin", ["admin"])


def test_servers_that_start_together_make_one_key(
    engine_name: str, new_storage: NewStorage, make_server: StartServer
) -> None:
    if engine_name != "postgres":
        pytest.skip("several servers share a database on PostgreSQL only")
    storage = new_storage()
    servers = [make_server(expects_errors=True, bootstrap_key=True, **storage) for _ in range(3)]
    commands = [server_command(s.data_dir, "127.0.0.1:0", s.options) for s in servers]
    processes = [Process(command) for command in commands]
    try:
        lines = [p.wait_for_line(lambda line: "listening on" in line, "it") for p in processes]
        keys = [key for process in processes for key in KEY.findall(process.output)]
        assert len(keys) == 1
        for line in lines:
            (url,) = set(re.findall(r"http://[0-9.:]+", line))
            with Client(url, api_key=keys[0]) as client:
                assert client.list_keys()[0].id == keys[0].rpartition("_")[0]
    finally:
        for process in processes:
            process.close()


def test_unusable_file_ends_the_start_with_a_sentence(make_server: StartServer) -> None:
    server = make_server(expects_errors=True, bootstrap_key_file="/nonexistent/key")
    process = Process(server_command(server.data_dir, "0.0.0.0:0", server.options))
    assert process.wait() == 1
    assert "--bootstrap-key-file /nonexistent/key: cannot be read" in process.output
    assert "Traceback" not in process.output

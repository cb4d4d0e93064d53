"""Unknown environment variables are named, others are not."""

import pytest

from corvo_server.environment import unknown_variables

KNOWN = ["CORVO_BIND", "CORVO_DATA_DIR", "CORVO_DATABASE_URL", "CORVO_RETAIN_DEAD"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("CORVO_RETAIN_DED", "CORVO_RETAIN_DEAD"),
        ("CORVO_DATABASE", "CORVO_DATABASE_URL"),
        ("CORVO_BINDS", "CORVO_BIND"),
        ("corvo_bind", "CORVO_BIND"),
    ],
)
def test_nearest_name_is_shown(name: str, meant: str) -> None:
    (sentence,) = unknown_variables({name: "x", "PATH": "/bin"}, KNOWN)
    assert name in sentence
    assert sentence.endswith(f"Did you mean {meant}?")


def test_help_is_named_if_no_name_is_near() -> None:
    (sentence,) = unknown_variables({"CORVO_COLOUR_OF_THE_SKY": "x"}, KNOWN)
    assert "corvo-server --help" in sentence


@pytest.mark.parametrize(
    "name",
    [
        "CORVO_BIND",
        "CORVO_SERVER",
        "CORVO_API_KEY",
        "CORVO_SANIC_KEEP_ALIVE",
        "CORVO_PORT",
        "CORVO_PORT_8080_TCP_ADDR",
        "CORVO_SERVICE_HOST",
        "CORVO_SERVER_SERVICE_PORT_HTTP",
        "CORVO_EU_PORT_8080_TCP",
        "CORVOID",
        "XCORVO_BIND",
    ],
)
def test_other_variables_are_left_alone(name: str) -> None:
    assert unknown_variables({name: "x"}, KNOWN) == []

"""Log lines as JSON and as text."""

import io
import logging
from collections.abc import Iterator

import orjson
import pytest

from corvo_server import logs
from corvo_server.auth.key_text import new_key
from corvo_server.logs import LogFormat, LogLevel


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _root_as_it_was() -> Iterator[None]:
    root, sanic = logging.getLogger(), logging.getLogger("sanic")
    before = list(root.handlers), root.level, sanic.level
    yield
    root.handlers = before[0]
    root.setLevel(before[1])
    sanic.setLevel(before[2])


def log_failure() -> None:
    """Raise an exception, catch it and log it."""
    try:
        int("a bug")
    except ValueError:
        logging.getLogger("x").exception("failed")


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [orjson.loads(line) for line in stream.getvalue().splitlines()]


def test_json_line_has_its_fields() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
    logging.getLogger("corvo_server.x").warning(
        "%d jobs", 3, extra=logs.fields(queue="mail", path=io)
    )
    (line,) = lines(stream)
    assert str(line.pop("time")).endswith("Z")
    assert str(line.pop("path")).startswith("<module")
    assert line == {
        "level": "warning",
        "logger": "corvo_server.x",
        "message": "3 jobs",
        "queue": "mail",
    }


def test_json_line_has_the_traceback() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
    log_failure()
    (line,) = lines(stream)
    assert "ValueError: invalid literal" in str(line["traceback"])
    assert len(stream.getvalue().splitlines()) == 1


def test_json_line_takes_any_text() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
    logging.getLogger("x").info("half of \ud83d, \n and \0", extra=logs.fields(name="\udcff"))
    (line,) = lines(stream)
    assert "half of" in str(line["message"])


def test_text_line_is_for_reading() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, LogFormat.TEXT, stream)
    logging.getLogger("x").info("listening", extra=logs.fields(port=80))
    assert stream.getvalue().endswith("Z INFO    listening port=80\n")


def test_text_line_has_the_traceback() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, LogFormat.TEXT, stream)
    log_failure()
    assert "ERROR   failed\nTraceback" in stream.getvalue()
    assert stream.getvalue().endswith("'a bug'\n")


@pytest.mark.parametrize(("stream", "is_json"), [(io.StringIO(), True), (Terminal(), False)])
def test_auto_is_text_on_a_terminal_only(stream: io.StringIO, is_json: bool) -> None:
    logs.configure(LogLevel.INFO, LogFormat.AUTO, stream)
    logging.getLogger("x").info("hello")
    assert stream.getvalue().startswith("{") == is_json


@pytest.mark.parametrize("level", LogLevel)
def test_level_is_the_minimum_severity(level: LogLevel) -> None:
    stream = io.StringIO()
    logs.configure(level, LogFormat.JSON, stream)
    for each in LogLevel:
        logging.getLogger("x").log(logging.getLevelNamesMapping()[each.upper()], "hello")
    assert [line["level"] for line in lines(stream)] == list(LogLevel)[
        list(LogLevel).index(level) :
    ]


def test_sanic_logs_only_warnings_and_errors() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.DEBUG, LogFormat.JSON, stream)
    logging.getLogger("sanic.root").info("Goin' Fast")
    logging.getLogger("sanic.error").warning("hm")
    assert [line["message"] for line in lines(stream)] == ["hm"]


def test_requests_are_written_together() -> None:
    class Counting(io.StringIO):
        writes = 0

        def write(self, text: str) -> int:
            self.writes += 1
            return super().write(text)

    stream = Counting()
    logs.configure(LogLevel.INFO, LogFormat.JSON, stream)
    logs.write_requests([{"path": f"/{i}", "status": 200} for i in range(50)])
    assert stream.writes == 1
    assert [line["path"] for line in lines(stream)] == [f"/{i}" for i in range(50)]
    assert {line["logger"] for line in lines(stream)} == {"corvo_server.request"}


def test_stderr_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(LogLevel.INFO, LogFormat.JSON)
    logging.getLogger("x").info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello" in captured.err


def test_text_line_escapes_control_characters() -> None:
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, LogFormat.TEXT, stream)
    forged = "GET\n2026-01-01 INFO\r\x1b[2J\x85\u2028 a\\b é"
    logging.getLogger("x").warning("request %s", forged, extra=logs.fields(method=forged))
    logs.write_requests([{"method": forged}])
    escaped = "GET\\x0a2026-01-01 INFO\\x0d\\x1b[2J\\x85\\u2028 a\\b é"
    first, second = stream.getvalue().splitlines()
    assert first.endswith(f"request {escaped} method={escaped}")
    assert second.endswith(f"request method={escaped}")


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.TEXT])
def test_no_line_shows_the_secret_of_a_key(log_format: LogFormat) -> None:
    key = new_key()
    stream = io.StringIO()
    logs.configure(LogLevel.INFO, log_format, stream)
    log = logging.getLogger("corvo_server.x")
    log.warning("a call with %s", key.text, extra=logs.fields(header=f"Bearer {key.text}"))
    try:
        int(key.text)
    except ValueError:
        log.exception("failed")
    logs.write_requests([{"path": f"/api/v1/auth/keys/{key.text}", "status": 404}])
    text = stream.getvalue()
    assert text.count(key.id) == 4, text
    assert key.text[len(key.id) + 1 :] not in text

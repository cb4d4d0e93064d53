"""`corvo events`: the stream of events, one per line."""

import json
from typing import Any

import pytest

from corvo_cli.commands.events import TYPES
from corvo_schema.states import EventType


def event(number: int, kind: str = "completed", **data: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": kind,
        "job_id": f"job_{number}",
        "queue": "emails",
        "created_at": "2026-01-31T08:00:00.250Z",
        "data": data,
    }


def stream(*events: dict[str, Any]) -> bytes:
    return b": following\n\n" + b"".join(
        b"id: %d\nevent: x\ndata: %b\n\n" % (one["id"], json.dumps(one).encode()) for one in events
    )


def answer(server: Any, line: str, *events: dict[str, Any]) -> None:
    server.answer(line, stream(*events), content_type="text/event-stream")


def test_each_event_is_a_line(corvo: Any, server: Any) -> None:
    answer(server, "GET /events", event(1), event(2, "retrying", attempt=1, error="Boom\nagain"))
    result = corvo("events", "--limit", "2")
    assert result.exit_code == 0
    assert result.stdout == (
        "2026-01-31 08:00:00.250Z  completed         emails            job_1\n"
        "2026-01-31 08:00:00.250Z  retrying          emails            "
        "job_2                           attempt=1 error=Boom\\nagain\n"
    )


@pytest.mark.usefixtures("terminal")
def test_events_on_a_terminal_are_styled(corvo: Any, server: Any) -> None:
    answer(server, "GET /events", event(1, "dead"))
    text = corvo("events", "--limit", "1").stdout
    assert "\x1b[1;31mdead" in text
    assert text.count("\n") == 1


@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_json_events_are_unchanged(corvo: Any, server: Any, output: str) -> None:
    answer(server, "GET /events", event(1), event(2))
    result = corvo("events", "--limit", "2", "-o", output)
    assert result.stdout == f"{json.dumps(event(1))}\n{json.dumps(event(2))}\n"


def test_filters_are_sent(corvo: Any, server: Any) -> None:
    line = "GET /events?queues=emails,a%2Fb&job_ids=job_1,job_2&types=dead,expired&last_event_id=0"
    answer(server, line, event(1))
    result = corvo(
        *("events", "--follow", "--queue", "emails", "--queue", "a/b", "--job", "job_1"),
        *("--job", "job_2", "--type", "dead", "--type", "expired", "--after", "0", "--limit", "1"),
    )
    assert result.exit_code == 0


def test_broken_stream_is_resumed(corvo: Any, server: Any) -> None:
    answer(server, "GET /events", event(1), event(2))
    answer(server, "GET /events?last_event_id=2", event(3))
    lines = corvo("events", "--limit", "3", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [1, 2, 3]


def test_ctrl_c_ends_the_command(corvo: Any, server: Any) -> None:
    server.fail("GET /events", KeyboardInterrupt())
    assert corvo("events").exit_code == 130


def test_refusal_sets_the_exit_code(corvo: Any, server: Any) -> None:
    server.refuse("GET /events", 403, "FORBIDDEN", "Not for you.")
    assert corvo("events").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--type", "exploded"), "'exploded' is not one of"),
        (("--after", "-1"), "'-1' is not a whole number"),
        (("--limit", "0"), "'0' is not a whole number"),
    ],
)
def test_invalid_argument_is_wrong_usage(
    corvo: Any, arguments: tuple[str, ...], message: str
) -> None:
    result = corvo("events", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_types_match_the_protocol() -> None:
    assert [kind.value for kind in EventType] == TYPES

"""All targets by name, with the inputs from which the fuzzer starts."""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import NamedTuple

from corvo_schema import SearchRequest, new_job_id
from corvo_server.auth.key_text import new_key
from corvo_server.engine.cursor import Cursor
from corvo_server.store.search.search import Position, Total
from fuzz.parsers import http, texts

_JOB = b'{"queue":"emails","job_id":"%b","payload":{"a":[1.5,null,"\\u00e9"]}}'
_CURSOR = Cursor.of(SearchRequest(), Position(5, 7), Total(9, is_exact=True), 1).write()


class Target(NamedTuple):
    """A law that holds for every input, and inputs to begin with."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]


TARGETS = {
    "heads": Target(
        http.check_heads,
        (
            b"POST /api/v1/enqueue HTTP/1.1\r\nHost: a:1\r\nContent-Length: 12\r\n"
            b"Content-Type: application/json\r\nAuthorization: Bearer x\r\n\r\n{}",
            b"POST /api/v1/ack/x HTTP/1.1\r\ncontent-length:\t0\r\nConnection: keep-alive\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nX: \xc2\x85\x85\x1c\r\n\r\n",
        ),
    ),
    "enqueues": Target(
        http.check_enqueues,
        (_JOB % new_job_id().encode(), b'{"queue":"a","max_retries":7}', b'{"queue":"a"} '),
    ),
    "batches": Target(
        http.check_batches,
        (
            b'{"jobs":[%b]}' % (_JOB % new_job_id().encode()),
            b'{"jobs":[{"queue":"a"}],"batch":{"callback_queue":"b","callback_payload":1}}',
        ),
    ),
    "acks": Target(
        http.check_acks,
        (
            b'{"acks":[{"job_id":"job_1","lease_token":"t","result":{"a":1.50}}]}',
            b'{"acks":[{"job_id":"a\\u0000b","lease_token":null,"result":null}]}',
        ),
    ),
    "cron": Target(
        texts.check_cron,
        (
            *(b"0 8 * * MON-FRI", b"*/5 0 L * *", b"@daily", b"0 0 29 2 1#5", b"30 2 * 3,10 SUN"),
            *(b"0 0 LW * *", b"59-1 * * * *", b"* * * * 5L", b"1-5/2,7 0-23/3 1 JAN 7"),
        ),
    ),
    "jq": Target(
        texts.check_jq,
        (
            b".a == 1",
            b'.a.b | contains("x") and not (.c == 1)',
            b'.a[0]["b c"] | length > 3 or (.d | test("^x"; "i") | not)',
            b"((((.a)))) != -1.5e3",
            b'startswith("\\u00e9\\ud800")',
        ),
    ),
    "cursors": Target(
        texts.check_cursors, (_CURSOR.encode(), b"AA==", urlsafe_b64encode(b"\x97\x01"))
    ),
    "durations": Target(
        texts.check_durations, (b"1h30m", b"0.5m", b"1s250ms", b"3650d", b"1.000000001ms", b"0s")
    ),
    "timestamps": Target(
        texts.check_timestamps,
        (b"2026-01-02T03:04:05Z", b"2026-01-02T03:04:05.123456789+05:30", b"0001-01-01T00:00:00Z"),
    ),
    "keys": Target(texts.check_keys, (new_key().text.encode(), b"corvo_abc", b"corvo_corvo_")),
    "masks": Target(texts.check_masks, (b"key=", b"corvo_", b"Authorization: Bearer ")),
    "scopes": Target(
        texts.check_scopes,
        (b"emails.a\nemails.*", b"a\n?", b"aaaaaaaaaaaaaaaaaaaab\n*a*a*a*a*a*a*a*", b"x/y\n*/*"),
    ),
}

"""Job ids are read from stdin in every format of `corvo search`."""

import json

import click
import pytest

from corvo_cli.bulk.piped import Piped, read_ids

TABLE = """\
JOB    QUEUE   STATE
job_1  emails  dead
job_2  emails  dead
"""


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("\n \n", []),
        ("job_1\njob_2\n", ["job_1", "job_2"]),
        ("job_1\r\n\r\n  job_2", ["job_1", "job_2"]),
        ("job_1\njob_1\n", ["job_1"]),
        (TABLE, ["job_1", "job_2"]),
        ('{"id": "job_1", "queue": "q"}\n{"id": "job_2"}\n', ["job_1", "job_2"]),
        ('{"id": "job_1"}\n', ["job_1"]),
        ('{"id": "job_1"}\n\n{"job_id": "job_2"}', ["job_1", "job_2"]),
        ('{"job_id": "job_1", "status": "pending"}', ["job_1"]),
        ('[{"id": "job_1"}, "job_2"]', ["job_1", "job_2"]),
        ("[]", []),
        ('{"jobs": [{"id": "job_1"}, {"id": "job_2"}], "has_more": false}', ["job_1", "job_2"]),
        ('{"jobs": []}', []),
        ('{"job_ids": ["job_1", "job_2"], "results": []}', ["job_1", "job_2"]),
    ],
)
def test_ids_are_read(text: str, ids: list[str]) -> None:
    assert read_ids(text) == Piped(ids)


def test_search_page_with_more_pages_is_recognized() -> None:
    page = json.dumps({"jobs": [{"id": "job_1"}], "has_more": True}, indent=2)
    assert read_ids(page) == Piped(["job_1"], has_more=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("job_1\nnonsense here\n", "Line 2 of stdin does not start with a job id: 'nonsense here'"),
        ("JOB\n", "Line 1 of stdin does not start with a job id: 'JOB'"),
        ('{"id": "job_1"}\n{"id": \n', "Line 2 of stdin is not valid JSON"),
        ('{"name": "emails"}', 'An element of stdin has no job id: {"name": "emails"}'),
        ("[1]", "An element of stdin has no job id: 1"),
    ],
)
def test_input_without_an_id_is_wrong_usage(text: str, message: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        read_ids(text)
    assert message in str(caught.value)

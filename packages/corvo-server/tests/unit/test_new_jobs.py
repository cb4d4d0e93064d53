"""The defaults of new jobs."""

from corvo_schema import EnqueueRequest
from corvo_server.auth.caller import SERVER
from server_support.bench import Bench


async def test_job_without_options_has_the_defaults_of_the_request(bench: Bench) -> None:
    new_job = bench.engine.jobs._new_job
    plain = EnqueueRequest(queue="mail")
    one_option = EnqueueRequest(
        queue="mail", unique_key=None
    )  # with an option set, all options are read
    job = new_job(plain, "{}", 1_000, None, SERVER)
    same = new_job(one_option, "{}", 1_000, None, SERVER)
    same.id = job.id
    assert job == same

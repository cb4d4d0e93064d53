"""The tasks of the worker in compose.yaml."""

from corvo_client.worker import Context, Worker

worker = Worker(concurrency=20)


@worker.task("greetings", max_retries=5)
async def greet(context: Context, to: str) -> str:
    """Return a greeting."""
    context.log.info("greeting %s", to)
    return f"Hello, {to}!"

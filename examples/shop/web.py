"""The web application. Each request that starts slow work returns the id of a job."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from corvo_client import AsyncClient, BatchOptions, NotFound, Progress
from shop.jobs import Order, confirm_order, make_forecast, report_newsletter, send_newsletter


class Accepted(BaseModel):
    """The id of the job, and whether this request created it."""

    job_id: str
    is_new: bool = True


class Newsletter(BaseModel):
    """The body of a request to send a newsletter."""

    subject: str
    to: list[str]


class Status(BaseModel):
    """How far a job is."""

    state: str
    progress: Progress | None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a client open while the application runs. It connects to CORVO_SERVER."""
    async with AsyncClient() as client:
        app.state.corvo = client
        yield


app = FastAPI(lifespan=lifespan)


def corvo(request: Request) -> AsyncClient:
    """Return the client of the application. Concurrent requests share it."""
    client: AsyncClient = request.app.state.corvo
    return client


Corvo = Annotated[AsyncClient, Depends(corvo)]


@app.post("/orders", status_code=202)
async def place_order(order: Order, client: Corvo) -> Accepted:
    """Confirm an order. The unique key prevents a second email for the same order."""
    request = confirm_order.options(unique_key=f"order-{order.number}").request(order)
    reply = await client.enqueue_request(request)
    return Accepted(job_id=reply.job_id, is_new=not reply.unique_existing)


@app.post("/tenants/{tenant}/forecasts", status_code=202)
async def start_forecast(tenant: str, client: Corvo, weeks: int = 52) -> Accepted:
    """Start a forecast. The server counts the jobs of each `concurrency_key`."""
    options = make_forecast.options(concurrency_key=tenant, tags={"tenant": tenant})
    reply = await client.enqueue_request(options.request(tenant, weeks))
    return Accepted(job_id=reply.job_id)


@app.post("/newsletters", status_code=202)
async def send(newsletter: Newsletter, client: Corvo) -> dict[str, str]:
    """Enqueue one job for each recipient. After the last one, the server enqueues the callback."""
    reply = await client.enqueue_batch(
        [send_newsletter.request(to, newsletter.subject) for to in newsletter.to],
        batch=BatchOptions(
            callback_queue=report_newsletter.queue,
            callback_payload={"subject": newsletter.subject},
        ),
    )
    return {"batch_id": reply.batch_id or ""}


@app.get("/jobs/{job_id}")
async def show_job(job_id: str, client: Corvo) -> Status:
    """Return the state and the progress of a job."""
    try:
        job = await client.get_job(job_id)
    except NotFound:
        raise HTTPException(404, "no such job") from None
    return Status(state=job.state, progress=job.progress)

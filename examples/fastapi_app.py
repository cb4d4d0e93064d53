"""A FastAPI application that runs the slow part of a request in a worker.

    pip install corvo-client fastapi uvicorn
    uvicorn fastapi_app:app                 the application
    corvo worker fastapi_app:worker         its worker, in another process

The application has one `AsyncClient`, which concurrent requests share.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from corvo_client import AsyncClient, NotFound
from corvo_client.worker import Worker

WELCOME = "emails.welcome"

worker = Worker()


class Signup(BaseModel):
    """The body of a sign-up request."""

    email: str


class Accepted(BaseModel):
    """The reply: the id of the job, and whether this request created it."""

    job_id: str
    is_new: bool


@worker.task(WELCOME)
async def send_welcome(email: str) -> str:
    """Send the email. This example only returns the text."""
    return f"Welcome, {email}!"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a client open while the application runs. It connects to CORVO_SERVER."""
    async with AsyncClient() as client:
        app.state.corvo = client
        yield


app = FastAPI(lifespan=lifespan)


def corvo(request: Request) -> AsyncClient:
    """Return the application's client."""
    client: AsyncClient = request.app.state.corvo
    return client


Corvo = Annotated[AsyncClient, Depends(corvo)]


@app.post("/signups", status_code=202)
async def sign_up(signup: Signup, client: Corvo) -> Accepted:
    """Enqueue a welcome email. The unique key prevents a second job for the same address."""
    request = send_welcome.options(unique_key=signup.email).request(signup.email)
    reply = await client.enqueue_request(request)
    return Accepted(job_id=reply.job_id, is_new=not reply.unique_existing)


@app.get("/signups/{job_id}")
async def show(job_id: str, client: Corvo) -> dict[str, str]:
    """Return the state of the job."""
    try:
        job = await client.get_job(job_id)
    except NotFound:
        raise HTTPException(404, "No such sign-up.") from None
    return {"state": str(job.state)}

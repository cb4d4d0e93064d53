"""A FastAPI application that leaves the slow part of a request to a worker.

    pip install corvo-client fastapi uvicorn
    uvicorn fastapi_app:app                 the application
    corvo worker fastapi_app:worker         its worker, in another process

One `AsyncClient` lives as long as the application; requests that enqueue at the same time share it.
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
    """What a visitor sends."""

    email: str


class Accepted(BaseModel):
    """Where to ask how it is going."""

    job_id: str
    is_new: bool


@worker.task(WELCOME)
async def send_welcome(email: str) -> str:
    """Send the mail; here it is only written down."""
    return f"Welcome, {email}!"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep a client open as long as the application runs; CORVO_SERVER says where the server is."""
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
    """Have a welcome sent, once, however often the visitor presses the button."""
    request = send_welcome.options(unique_key=signup.email).request(signup.email)
    reply = await client.enqueue_request(request)
    return Accepted(job_id=reply.job_id, is_new=not reply.unique_existing)


@app.get("/signups/{job_id}")
async def show(job_id: str, client: Corvo) -> dict[str, str]:
    """Tell how far it is."""
    try:
        job = await client.get_job(job_id)
    except NotFound:
        raise HTTPException(404, "There is no such sign-up.") from None
    return {"state": str(job.state)}

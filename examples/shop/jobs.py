"""The jobs of the shop."""

import asyncio
from statistics import NormalDist, fmean
from typing import Any

from pydantic import BaseModel

from corvo_client.worker import Context, Worker

worker = Worker(concurrency=20)


class Item(BaseModel):
    """A line of an order."""

    name: str
    price: float
    count: int = 1


class Order(BaseModel):
    """An order: the body of the request, and the payload of the job."""

    number: int
    email: str
    items: list[Item]


class Confirmation(BaseModel):
    """The result of `confirm_order`."""

    sent_to: str
    total: float


@worker.task("orders.confirm", max_retries=8, retry_base_delay="10s", expire_after="1d")
async def confirm_order(context: Context, order: Order) -> Confirmation:
    """Send an email. The only parameter is a model, so the order is the whole payload."""
    context.log.info("order %d has %d items", order.number, len(order.items))
    await asyncio.sleep(0.01)  # in place of a mail server
    total = sum(item.price * item.count for item in order.items)
    return Confirmation(sent_to=order.email, total=total)


@worker.task("forecasts.make", executor="process", max_retries=5)
def make_forecast(context: Context, tenant: str, weeks: int = 52) -> list[float]:
    """Simulate the sales of each week. An interrupted forecast continues at its checkpoint.

    The work keeps a CPU busy, so it runs in a process. `deploy` limits each tenant to one forecast
    at a time.
    """
    sales: list[float] = context.last_checkpoint or []
    for week in range(len(sales), weeks):
        samples = NormalDist(1000 + week, 50).samples(20_000, seed=f"{tenant} {week}")
        sales.append(round(fmean(samples), 2))
        context.checkpoint(sales)
        context.progress(week + 1, weeks, f"week {week + 1}")
    return sales


@worker.task("newsletters.send", max_retries=3)
async def send_newsletter(to: str, subject: str) -> str:
    """Send one email of a newsletter."""
    return f"{subject}: sent to {to}"


@worker.task("newsletters.report")
async def report_newsletter(
    context: Context,
    *,
    batch_id: str,
    total: int,
    succeeded: int,
    failed: int,
    cancelled: int,
    payload: Any,
) -> str:
    """Report that a newsletter is sent: the callback of its batch."""
    context.log.info("batch %s: %d failed, %d cancelled", batch_id, failed, cancelled)
    return f"{payload['subject']}: {succeeded} of {total} emails are sent"


@worker.task("carts.remove")
def remove_carts(context: Context, days: int) -> str:
    """Remove carts that nobody has touched for some days. A schedule enqueues this job."""
    context.log.info("removing carts older than %d days", days)
    return f"carts older than {days} days are removed"

"""Set limits and schedules on the server. Run it at each deployment; repeating it is safe."""

from corvo_client import Client
from shop.jobs import make_forecast, remove_carts


def main() -> None:
    """Set them on the server that CORVO_SERVER names."""
    with Client() as client:
        client.limit_queue(make_forecast.queue, per_key=1)
        client.put_schedule(
            "remove old carts",
            queue=remove_carts.queue,
            cron="0 3 * * *",
            timezone="Europe/Berlin",
            payload=remove_carts.request(days=30).payload,
        )


if __name__ == "__main__":
    main()

"""Set limits and schedules on the server. Run it at each deployment; repeating it is safe."""

from corvo_client import Client
from shop.jobs import make_forecast, remove_carts


def main() -> None:
    """Set them on the server that CORVO_SERVER names."""
    with Client() as client:
        client.limit_queue(make_forecast.queue, per_key=1)
    daily = remove_carts.schedule("0 3 * * *", name="remove old carts", timezone="Europe/Berlin")
    daily.put(days=30)


if __name__ == "__main__":
    main()

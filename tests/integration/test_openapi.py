"""The OpenAPI description, and the page that shows it."""

import re

from openapi_spec_validator import OpenAPIV31SpecValidator

from support.api_client import API, ApiClient


async def test_the_description_is_valid_openapi(api: ApiClient) -> None:
    description = await api.get("/openapi.json")
    OpenAPIV31SpecValidator(description).validate()


async def test_defaults_are_described_in_the_notation_of_requests(api: ApiClient) -> None:
    schemas = (await api.get("/openapi.json"))["components"]["schemas"]
    enqueue = schemas["EnqueueRequest"]["properties"]
    # An option that is left out has the default of its queue, and else this one.
    assert enqueue["retry_base_delay"]["description"].endswith("Default: 5s.")
    assert enqueue["unique_period"]["description"].endswith("Default: 1h.")
    assert enqueue["priority"]["description"].endswith("Default: normal.")
    assert schemas["FetchRequest"]["properties"]["timeout"]["default"] == 30


async def test_the_description_names_every_endpoint_of_the_protocol(api: ApiClient) -> None:
    paths = (await api.get("/openapi.json"))["paths"]
    served = {
        (method, path.removeprefix(API))
        for path, operations in paths.items()
        for method in operations
    }
    assert served >= {
        ("post", "/enqueue"),
        ("post", "/enqueue/batch"),
        ("post", "/fetch"),
        ("post", "/fetch/batch"),
        ("post", "/ack/{job_id}"),
        ("post", "/ack/batch"),
        ("post", "/fail/{job_id}"),
        ("post", "/fail/batch"),
        ("post", "/release/{job_id}"),
        ("post", "/release/batch"),
        ("post", "/heartbeat"),
        ("get", "/jobs/{job_id}"),
        ("post", "/jobs/{job_id}/cancel"),
        ("post", "/jobs/{job_id}/retry"),
        ("post", "/jobs/bulk-get"),
        ("get", "/batches/{batch_id}"),
        ("get", "/queues"),
        ("post", "/queues/{name}/pause"),
        ("post", "/queues/{name}/resume"),
        ("get", "/info"),
        ("get", "/openapi.json"),
        ("get", "/docs"),
        ("get", "/healthz"),
        ("get", "/readyz"),
    }


async def test_every_described_path_is_served(api: ApiClient) -> None:
    """Each path answers its described methods with anything but a missing route."""
    paths = (await api.get("/openapi.json"))["paths"]
    for path, operations in paths.items():
        target = re.sub(r"\{\w+\}", "x", path).removeprefix(API)
        for method in operations:
            if target == "/events":  # does not end
                continue
            response = await api.send(method.upper(), target)
            if response.status_code in {404, 405}:
                assert "There is no /" not in response.json()["error"], (method, path)
                assert response.status_code != 405, (method, path)


async def test_the_page_shows_every_operation_without_external_resources(
    api: ApiClient,
) -> None:
    response = await api.send("GET", "/docs")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    for path in (await api.get("/openapi.json"))["paths"]:
        assert path in response.text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", response.text)

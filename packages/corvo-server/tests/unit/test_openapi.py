"""The OpenAPI description and its HTML page."""

from corvo_server.app import RESOURCES
from corvo_server.http.docs import render
from corvo_server.http.openapi import describe


def test_description_of_every_endpoint_has_its_errors() -> None:
    description = describe(RESOURCES)
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert {"500", "503"} <= set(operation["responses"]), path
            assert ("requestBody" in operation) <= ("400" in operation["responses"]), path
            assert method in {"get", "post", "put", "delete"}


def test_docs_page_escapes_what_it_shows() -> None:
    operation = {
        "summary": "Do <b>it</b> & more.",
        "requestBody": {"content": {"application/json": {"schema": {"x": "<script>"}}}},
        "responses": {"200": {"description": "<i>OK</i>"}},
    }
    page = render(
        {
            "info": {"title": "<T>", "version": "1", "description": "a & b"},
            "paths": {"/x/{y}": {"post": operation}},
            "components": {"schemas": {"A": {"y": "</pre>"}}},
        }
    )
    for text in ("<b>it", "<script>", "<i>OK", "<T>", "</pre>&"):
        assert text not in page
    assert "Do &lt;b&gt;it&lt;/b&gt; &amp; more." in page

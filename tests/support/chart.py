"""Renders the Helm chart and validates the documents for Kubernetes."""

import importlib
import json
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy/helm/corvo"
POSTGRES = {"store": "postgres", "postgres": {"secret": {"name": "database"}}}

Document = dict[str, Any]

_CUSTOM = {
    "monitoring.coreos.com/v1": "cloudcoil.models.prometheus_operator.v1",
    "keda.sh/v1alpha1": "cloudcoil.models.keda.v1alpha1",
}
"""Modules with models of custom resources, by API version."""


class Refused(Exception):
    """Raised if Helm refuses the values. The text has the reason."""


class Chart:
    """The chart, rendered by a `helm` program."""

    def __init__(self, helm: str) -> None:
        self._helm = helm

    def render(
        self, values: Document | None = None, *, release: str = "jobs"
    ) -> dict[str, Document]:
        """Return the documents by kind. Each kind has one document. Raises `Refused`."""
        import yaml

        text = self.run("template", release, str(CHART), "--namespace", "work", values=values)
        documents = [document for document in yaml.safe_load_all(text) if document]
        found = {document["kind"]: document for document in documents}
        assert len(found) == len(documents)
        return found

    def run(self, *arguments: str, values: Document | None = None) -> str:
        """Run a Helm command with the values. Return its output. Raises `Refused`."""
        done = subprocess.run(
            [self._helm, *arguments, "--values", "-"],
            input=json.dumps(values or {}),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode != 0:
            raise Refused(done.stderr)
        return done.stdout


def validate(document: Document, kubernetes: str) -> None:
    """Raise if a document is invalid for a version of Kubernetes."""
    module = _CUSTOM.get(document["apiVersion"])
    if module is None:
        import kubernetes_validate

        kubernetes_validate.validate(document, kubernetes, strict=True)
        return
    model = getattr(importlib.import_module(module), document["kind"])
    read = model.model_validate(document)
    known = read.model_dump(by_alias=True, exclude_unset=True, mode="json")
    if known != document:  # The models ignore unknown fields, which Kubernetes refuses.
        raise ValueError(f"{document} has fields that are not in {known}")


def pod_of(documents: dict[str, Document]) -> Document:
    """Return the pod template of the workload."""
    workload = documents.get("StatefulSet") or documents["Deployment"]
    pod: Document = workload["spec"]["template"]
    return pod


def settings_of(documents: dict[str, Document]) -> dict[str, Any]:
    """Return the environment of the server: values, or references to their sources."""
    (container,) = pod_of(documents)["spec"]["containers"]
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}

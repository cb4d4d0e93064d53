"""The documents of the chart are valid for Kubernetes, with every combination of values."""

import re
from typing import Any

import pytest

from support.chart import CHART, POSTGRES, ROOT, Chart, Document, validate

KUBERNETES = ("1.25", "1.31", "1.37")
MONITORED: Document = {
    "serviceMonitor": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "keySecret": {"name": "corvo-metrics"},
    }
}
VARIANTS: dict[str, Document] = {
    "plain": {},
    "monitored": MONITORED,
    "metrics for all": {"serviceMonitor": {"enabled": True}, "settings": {"open-metrics": True}},
    "no policy": {"networkPolicy": {"enabled": False}},
    "first key": {"adminKey": {"secret": {"name": "corvo-admin", "key": "text"}}},
    "first key beside a volume": {
        "adminKey": {"secret": {"name": "corvo-admin"}},
        "persistence": {"existingClaim": "jobs-data"},
    },
    "open to some": {
        "networkPolicy": {
            "from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
            "egress": [{"ports": [{"port": 4318}]}],
        }
    },
    "another's volume": {"persistence": {"existingClaim": "jobs-data"}},
    "chosen volume": {
        "persistence": {
            "size": "100Gi",
            "storageClass": "fast",
            "whenDeleted": "Delete",
            "annotations": {"backup": "daily"},
        }
    },
    "digest": {"image": {"digest": f"sha256:{'a' * 64}"}, "imagePullSecrets": [{"name": "pull"}]},
    "placed": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "jobs", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway",
            }
        ],
        "priorityClassName": "high",
    },
    "described": {
        "podAnnotations": {"a": "1"},
        "podLabels": {"team": "shop"},
        "service": {"type": "LoadBalancer", "annotations": {"internal": "true"}, "port": 80},
        "serviceAccount": {"annotations": {"role": "jobs"}},
    },
    "other account": {"serviceAccount": {"create": False, "name": "jobs"}},
    "no budget": {"podDisruptionBudget": {"enabled": False}},
    "set": {
        "settings": {"log-level": "warning", "max-body-bytes": 16777216, "retain-dead": "0s"},
        "env": [{"name": "TZ", "value": "UTC"}],
    },
}


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("store", [{}, POSTGRES], ids=["sqlite", "postgres"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_documents_are_valid(chart: Chart, store: Document, variant: str, kubernetes: str) -> None:
    for document in chart.render({**store, **VARIANTS[variant]}).values():
        validate(document, kubernetes)


def test_invalid_documents_are_refused(chart: Chart) -> None:
    documents = chart.render(MONITORED)
    for kind in ("StatefulSet", "Service", "ServiceMonitor"):
        document = documents[kind]
        document["spec"]["replica"] = 1
        with pytest.raises(Exception, match="replica"):
            validate(document, KUBERNETES[-1])


@pytest.mark.parametrize("store", [{}, POSTGRES], ids=["sqlite", "postgres"])
def test_chart_passes_lint(chart: Chart, store: Document) -> None:
    assert "0 chart(s) failed" in chart.run("lint", "--strict", str(CHART), values=store)


def test_variants_cover_every_template(chart: Chart) -> None:
    kinds = {kind for values in VARIANTS.values() for kind in chart.render(values)}
    templates = {path.stem for path in (CHART / "templates").glob("*.yaml")} - {"deployment"}
    assert {kind.lower() for kind in kinds} == templates


def test_values_in_the_documentation_are_valid(chart: Chart) -> None:
    import yaml

    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    found = re.findall(r'^```yaml title="values.yaml"\n(.*?)^```$', page, re.MULTILINE | re.DOTALL)
    assert found
    for text in found:
        for document in chart.render(yaml.safe_load(text)).values():
            validate(document, KUBERNETES[-1])


def test_version_matches_the_server(chart: Chart) -> None:
    about = ROOT / "packages/corvo-server/src/corvo_server/__about__.py"
    match = re.search(r'^__version__ = "(.+)"', about.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None
    labels: Any = chart.render()["Service"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == match[1]


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_example_for_keda_is_valid(chart: Chart, kubernetes: str) -> None:
    import yaml

    del chart  # The fixture only skips the test if packages are missing.
    text = (ROOT / "deploy/keda/workers.yaml").read_text(encoding="utf-8")
    documents = list(yaml.safe_load_all(text))
    assert [document["kind"] for document in documents] == ["Deployment", "ScaledObject"]
    for document in documents:
        validate(document, kubernetes)
    worker, scaled = documents
    assert scaled["spec"]["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    (trigger,) = scaled["spec"]["triggers"]
    metric = re.search(r"corvo_\w+", trigger["metadata"]["query"])
    assert metric is not None
    metrics = ROOT / "packages/corvo-server/src/corvo_server/engine/metrics.py"
    assert f'"{metric[0]}"' in metrics.read_text(encoding="utf-8")

"""The effects of the values of the chart, and values that are refused."""

from typing import Any

import pytest

from support.chart import POSTGRES, Chart, Document, Refused, pod_of, settings_of

BOTH = pytest.mark.parametrize("store", [{}, POSTGRES], ids=["sqlite", "postgres"])


def container_of(documents: dict[str, Document]) -> Document:
    container: Document
    (container,) = pod_of(documents)["spec"]["containers"]
    return container


def test_sqlite_is_one_server_with_its_volume(chart: Chart) -> None:
    documents = chart.render()
    assert "Deployment" not in documents
    spec = documents["StatefulSet"]["spec"]
    assert spec["replicas"] == 1
    (claim,) = spec["volumeClaimTemplates"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "10Gi"
    assert spec["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Retain"
    assert container_of(documents)["volumeMounts"] == [
        {"name": claim["metadata"]["name"], "mountPath": "/data"}
    ]


def test_postgres_is_several_servers_without_a_volume(chart: Chart) -> None:
    documents = chart.render(
        {"store": "postgres", "postgres": {"replicas": 5, "secret": {"name": "db", "key": "dsn"}}}
    )
    assert "StatefulSet" not in documents
    assert documents["Deployment"]["spec"]["replicas"] == 5
    assert "volumeMounts" not in container_of(documents)
    assert settings_of(documents)["CORVO_DATABASE_URL"] == {
        "secretKeyRef": {"name": "db", "key": "dsn"}
    }


@BOTH
def test_pods_are_restricted(chart: Chart, store: Document) -> None:
    """Pods meet the standard "restricted" of Kubernetes, with a read-only root file system."""
    documents = chart.render(store)
    pod = pod_of(documents)["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    context = container_of(documents)["securityContext"]
    assert context["allowPrivilegeEscalation"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


@BOTH
def test_probes_use_the_right_paths(chart: Chart, store: Document) -> None:
    container = container_of(chart.render(store))
    paths = {
        name: container[f"{name}Probe"]["httpGet"]["path"]
        for name in ("startup", "liveness", "readiness")
    }
    assert paths == {
        "startup": "/healthz",
        "liveness": "/api/v1/auth/status" if store else "/healthz",
        "readiness": "/readyz",
    }


@BOTH
def test_a_single_server_keeps_its_traffic_when_it_is_not_ready(
    chart: Chart, store: Document
) -> None:
    service = chart.render(store)["Service"]["spec"]
    assert service.get("publishNotReadyAddresses", False) is (not store)


@BOTH
def test_selectors_match_the_pods(chart: Chart, store: Document) -> None:
    documents = chart.render(
        {**store, "serviceMonitor": {"enabled": True, "keySecret": {"name": "metrics"}}}
    )
    labels = pod_of(documents)["metadata"]["labels"]
    workload = documents["Deployment" if store else "StatefulSet"]
    for selector in (
        workload["spec"]["selector"]["matchLabels"],
        documents["Service"]["spec"]["selector"],
        documents["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        documents["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    monitor = documents["ServiceMonitor"]["spec"]
    service = documents["Service"]
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,), (port,) = monitor["endpoints"], service["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    account = documents["ServiceAccount"]["metadata"]["name"]
    assert pod_of(documents)["spec"]["serviceAccountName"] == account


def test_settings_become_the_environment(chart: Chart) -> None:
    settings = {"log-level": "debug", "max-body-bytes": 16777216, "retain-dead": "0s"}
    assert settings_of(chart.render({"settings": settings})) == {
        "CORVO_BIND": "0.0.0.0:8080",
        "CORVO_LOG_LEVEL": "debug",
        "CORVO_MAX_BODY_BYTES": "16777216",
        "CORVO_RETAIN_DEAD": "0s",
    }


def test_digest_overrides_the_tag(chart: Chart) -> None:
    digest = f"sha256:{'0' * 64}"
    rendered = chart.render({"image": {"repository": "r.example.com/corvo", "digest": digest}})
    assert container_of(rendered)["image"] == f"r.example.com/corvo@{digest}"


def test_network_policy_allows_the_database(chart: Chart) -> None:
    def ports(values: Document) -> list[int]:
        policy = chart.render(values)["NetworkPolicy"]
        return [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]

    assert ports({}) == [53, 53]
    assert ports(POSTGRES) == [53, 53, 5432]


def test_network_policy_can_be_turned_off(chart: Chart) -> None:
    assert "NetworkPolicy" not in chart.render({"networkPolicy": {"enabled": False}})


@BOTH
def test_first_key_is_a_file_of_a_secret(chart: Chart, store: Document) -> None:
    values = {**store, "adminKey": {"secret": {"name": "corvo-admin", "key": "text"}}}
    documents = chart.render(values)
    container = container_of(documents)
    path = settings_of(documents)["CORVO_BOOTSTRAP_KEY_FILE"]
    (mount,) = [item for item in container["volumeMounts"] if item["name"] == "admin-key"]
    (volume,) = [v for v in pod_of(documents)["spec"]["volumes"] if v["name"] == "admin-key"]
    (item,) = volume["secret"]["items"]
    assert path == f"{mount['mountPath']}/{item['path']}"
    assert (volume["secret"]["secretName"], item["key"]) == ("corvo-admin", "text")
    assert volume["secret"]["defaultMode"] == 0o440
    assert "CORVO_BOOTSTRAP_KEY_FILE" not in settings_of(chart.render(store))


def test_prometheus_has_a_key(chart: Chart) -> None:
    values = {"serviceMonitor": {"enabled": True, "keySecret": {"name": "metrics", "key": "text"}}}
    (endpoint,) = chart.render(values)["ServiceMonitor"]["spec"]["endpoints"]
    assert endpoint["authorization"] == {"credentials": {"name": "metrics", "key": "text"}}
    open_values = {"serviceMonitor": {"enabled": True}, "settings": {"open-metrics": True}}
    (endpoint,) = chart.render(open_values)["ServiceMonitor"]["spec"]["endpoints"]
    assert "authorization" not in endpoint


@pytest.mark.parametrize("release", ["a", "corvo", "r" * 53])
def test_names_are_not_too_long(chart: Chart, release: str) -> None:
    documents = chart.render(release=release)
    names = {document["metadata"]["name"] for document in documents.values()}
    (name,) = names
    assert len(f"{name}-0123456789") <= 63  # a StatefulSet appends its revision in a label


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"store": "mysql"}, "store"),
        ({"store": "postgres"}, "postgres/secret/name"),
        ({"replicas": 3}, "replicas"),
        ({"postgres": {"replicas": 0}}, "postgres/replicas"),
        ({"postgres": {"replicas": "2"}}, "postgres/replicas"),
        ({"postgres": {"secret": {"name": "Not_A_Name"}}}, "postgres/secret/name"),
        ({"postgres": {"url": "postgresql://user:password@host/db"}}, "url"),
        ({"persistence": {"size": "ten"}}, "persistence/size"),
        ({"persistence": {"whenDeleted": "Keep"}}, "persistence/whenDeleted"),
        ({"image": {"tag": "a b"}}, "image/tag"),
        ({"image": {"digest": "latest"}}, "image/digest"),
        ({"service": {"port": 70000}}, "service/port"),
        ({"settings": {"bind": "0.0.0.0:1"}}, "bind"),
        ({"settings": {"data-dir": "/elsewhere"}}, "data-dir"),
        ({"settings": {"LOG_LEVEL": "info"}}, "LOG_LEVEL"),
        ({"settings": {"cors-origins": ["*"]}}, "settings/cors-origins"),
        ({"podDisruptionBudget": {"maxUnavailable": "half"}}, "podDisruptionBudget"),
        ({"serviceMonitor": {"interval": 30}}, "serviceMonitor/interval"),
        ({"serviceMonitor": {"enabled": True}}, "serviceMonitor.keySecret.name"),
        ({"adminKey": {"secret": {"name": "Not_A_Name"}}}, "adminKey/secret/name"),
        ({"adminKey": {"text": "corvo_x"}}, "text"),
        ({"settings": {"bootstrap-key-file": "/x"}}, "bootstrap-key-file"),
        ({"networkPolicy": {"from": {"podSelector": {}}}}, "networkPolicy/from"),
        ({"resources": {"memory": "1Gi"}}, "memory"),
        ({"podLabels": {"a": 1}}, "podLabels/a"),
    ],
)
def test_invalid_values_are_refused(chart: Chart, values: dict[str, Any], named: str) -> None:
    # Helm 4 writes a path with slashes, Helm 3 with dots.
    with pytest.raises(Refused, match=named.replace("/", "[./]")):
        chart.render(values)

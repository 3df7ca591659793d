"""The alert rules, the dashboard and the autoscaler ask for metrics that the service has."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator

import pytest
import yaml

from tests.deploy.test_manifests import DEPLOY
from tests.running import running_server

MONITORING = DEPLOY / "monitoring"
OF_PROMETHEUS = {"up"}  # it makes this metric itself
NAME = re.compile(r"\b(?:blitzmask|process)_\w+")
ENDINGS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


def rule_queries() -> Iterator[str]:
    for group in yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def dashboard_queries() -> Iterator[str]:
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "blitzmask.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    yield from (variable["query"]["query"] for variable in dashboard["templating"]["list"])


def autoscaler_metrics() -> Iterator[str]:
    scaler = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "autoscaler.yaml").read_text())
    yield from (metric["pods"]["metric"]["name"] for metric in scaler["spec"]["metrics"])


@pytest.fixture(scope="module")
def exposition() -> Iterator[str]:
    """The text of /metrics of a running service."""
    with (
        running_server(BLITZ_SLOTS="1") as server,
        urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as answer,
    ):
        yield answer.read().decode()


@pytest.mark.parametrize("queries", [rule_queries, dashboard_queries, autoscaler_metrics])
def test_every_query_asks_for_metrics_of_the_service(
    exposition: str, queries: Callable[[], Iterator[str]]
) -> None:
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", exposition, re.MULTILINE)
    known = {name + ending for name, kind in kinds for ending in ENDINGS[kind]} | OF_PROMETHEUS
    for query in queries():
        asked = set(NAME.findall(query)) or OF_PROMETHEUS.intersection(query.split("{")[:1])
        assert asked, query
        assert asked <= known, query


@pytest.mark.parametrize("check", [("config", "prometheus.yml"), ("rules", "rules.yml")])
def test_prometheus_accepts_its_files(check: tuple[str, str]) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    kind, file = check
    subprocess.run(["promtool", "check", kind, file], cwd=MONITORING, check=True)


def test_prometheus_accepts_what_the_service_says(exposition: str) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed (Debian: apt-get install prometheus)")
    subprocess.run(["promtool", "check", "metrics"], input=exposition.encode(), check=True)


def test_grafana_finds_its_data_source_and_its_dashboards() -> None:
    provisioning = MONITORING / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    dashboard = json.loads((MONITORING / "grafana" / "dashboards" / "blitzmask.json").read_text())
    assert {panel["datasource"]["uid"] for panel in dashboard["panels"]} == {source["uid"]}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    (folder,) = yaml.safe_load((provisioning / "dashboards" / "files.yml").read_text())["providers"]
    mounts = yaml.safe_load((DEPLOY.parent / "docker-compose.yml").read_text())["services"]["grafana"][
        "volumes"
    ]
    assert f"./deploy/monitoring/grafana/dashboards:{folder['options']['path']}:ro" in mounts

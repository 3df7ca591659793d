"""The manifests of deploy/: valid for Kubernetes, and in agreement with the service that they run."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.process.server import LINGER_S, MARGIN_S
from service.settings import Settings, variable
from tests.running import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = "1.37"
BASE = sorted(
    path for path in (DEPLOY / "kubernetes" / "base").glob("*.yaml") if path.name != "kustomization.yaml"
)
OVERLAYS = sorted((DEPLOY / "kubernetes" / "overlays").iterdir())
OF_KSERVE = {"minReplicas", "maxReplicas"}  # the rest of a predictor is what a pod's specification holds


def load(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def build_overlay(folder: Path) -> list[dict[str, Any]]:
    """The objects that kubectl would apply."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    built = subprocess.run(["kubectl", "kustomize", folder], check=True, capture_output=True, text=True)
    return list(yaml.safe_load_all(built.stdout))


def predictor() -> dict[str, Any]:
    (service,) = load(DEPLOY / "kserve" / "inferenceservice.yaml")
    return {name: value for name, value in service["spec"]["predictor"].items() if name not in OF_KSERVE}


def load_pods() -> list[dict[str, Any]]:
    """The specifications of the pods of the deployment and of KServe."""
    (deployment,) = load(DEPLOY / "kubernetes" / "base" / "deployment.yaml")
    return [deployment["spec"]["template"]["spec"], predictor()]


def validate(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("path", BASE, ids=lambda path: path.stem)
def test_kubernetes_accepts_the_manifest(path: Path) -> None:
    for manifest in load(path):
        validate(manifest)


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda path: path.name)
def test_kubernetes_accepts_what_an_overlay_makes(folder: Path) -> None:
    manifests = build_overlay(folder)
    for manifest in manifests:
        validate(manifest)
    (deployment,) = [each for each in manifests if each["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    gpus = container["resources"]["limits"].get("nvidia.com/gpu")
    assert (container["image"], gpus) == {
        "cpu": ("blitzmask-server:onnx", None),
        "gpu": ("blitzmask-server:gpu", "1"),
    }[folder.name]


def test_kubernetes_accepts_the_pod_of_kserve() -> None:
    validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "blitzmask"}, "spec": predictor()})


def test_a_misspelt_field_is_not_accepted() -> None:
    spec = predictor() | {"terminationGracePeriod": 45}
    with pytest.raises(kubernetes_validate.ValidationError):
        validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "blitzmask"}, "spec": spec})


def test_every_variable_of_the_manifests_is_a_setting() -> None:
    known = {variable(field) for field in Settings.model_fields}
    for path in DEPLOY.rglob("*.yaml"):
        assert set(re.findall(r"\bname: (BLITZ_\w+)", path.read_text())) <= known


@pytest.mark.parametrize("pod", load_pods(), ids=["deployment", "kserve"])
def test_a_pod_stops_after_the_last_request_that_is_sent_to_it(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    set_values = {each["name"]: each.get("value") for each in container["env"]}
    stop_delay_s = float(set_values["BLITZ_STOP_DELAY_S"])
    probe = container["readinessProbe"]
    assert stop_delay_s > probe["periodSeconds"] * probe["failureThreshold"]
    assert pod["terminationGracePeriodSeconds"] > stop_delay_s + LINGER_S + Settings().drain_s + MARGIN_S


@pytest.mark.parametrize("pod", load_pods(), ids=["deployment", "kserve"])
def test_a_pod_has_no_rights(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    context = pod.get("securityContext", {}) | container["securityContext"]
    assert (context["runAsNonRoot"], context["runAsUser"]) == (True, 10001)
    assert (context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"]) == (False, True)
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert pod["automountServiceAccountToken"] is False

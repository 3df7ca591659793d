"""docker-compose.yml: every profile keeps its containers small in rights and in what they take."""

import re
from typing import Any

import pytest
import yaml

from deploy.trim import PACKAGES
from service import __version__
from service.process.server import LINGER_S, MARGIN_S
from service.settings import Settings, variable
from tests.running import ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
SERVING = [name for name, service in SERVICES.items() if "environment" in service and "build" in service]
PROFILES = {"camera", "webcam", "mqtt", "monitoring", "scale", "gpu", "edgetpu"}


def test_without_a_profile_only_the_service_starts() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["blitzmask"]
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", [])} == PROFILES


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_has_no_rights_and_bounds_for_logs_and_memory(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"max-size", "max-file"} == set(service["logging"]["options"])
    assert {"mem_limit", "pids_limit", "restart"} <= set(service)


@pytest.mark.parametrize("name", SERVING)
def test_a_container_is_given_the_time_that_the_service_takes_to_stop(name: str) -> None:
    granted_s = int(SERVICES[name]["stop_grace_period"].removesuffix("s"))
    settings = Settings()
    assert granted_s > settings.stop_delay_s + LINGER_S + settings.drain_s + MARGIN_S


@pytest.mark.parametrize("name", SERVING)
def test_compose_passes_every_setting_to_the_container(name: str) -> None:
    """A setting that is not passed is silently lost: with keys set, the service would be open to all."""
    passed: dict[str, str] = SERVICES[name]["environment"]
    published = {"BLITZ_HOST", "BLITZ_HTTP_PORT", "BLITZ_GRPC_PORT"}
    assert set(re.findall(r"\$\{(BLITZ_\w+)", " ".join(SERVICES["blitzmask"]["ports"]))) == published
    assert set(passed) == {variable(field) for field in Settings.model_fields} - published
    assert all(value.startswith(f"${{{variable}:-") for variable, value in passed.items())


@pytest.mark.parametrize("name", SERVING)
def test_compose_builds_a_flavour_that_the_image_has(name: str) -> None:
    flavour = SERVICES[name]["build"]["args"]["FLAVOUR"]
    assert re.sub(r"\$\{FLAVOUR:-(\w+)\}", r"\1", flavour) in PACKAGES
    assert SERVICES[name]["image"] == f"blitzmask-server:{flavour}"


def test_the_image_has_the_version_of_the_service() -> None:
    assert f"\nARG VERSION={__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_keys_and_certificates_can_be_secrets() -> None:
    override = yaml.safe_load((ROOT / "deploy" / "compose.secrets.yml").read_text())
    service = override["services"]["blitzmask"]
    assert set(service["secrets"]) == set(override["secrets"])
    fields = {name.removeprefix("blitz_") for name in service["secrets"] if name.startswith("blitz_")}
    assert fields == {"api_keys", "admin_keys"} <= set(Settings.model_fields)
    assert {path.removeprefix("/run/secrets/") for path in service["environment"].values()} <= set(
        override["secrets"]
    )


def test_the_image_can_be_read_by_its_user_whatever_the_umask_of_the_checkout() -> None:
    stages = (ROOT / "Dockerfile").read_text().split("\nFROM ")
    assert "chmod --recursive u=rwX,go=rX /venv /app" in next(
        stage for stage in stages if "AS build" in stage
    )
    assert {line.split()[1] for line in stages[-1].splitlines() if line.startswith("COPY")} <= {
        "--from=system",
        "--from=build",
    }

"""The service alone, as it is installed: its packages and its wheel."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from service import __version__
from tests.running import PATIENCE_S, free_port, wait_until_ready

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {
    *("torch", "jax", "litert_torch", "onnx", "training", "loadtest"),
    *("httpx", "skimage", "matplotlib", "pycocotools", "scipy"),
}


def locked_packages(name: str) -> set[str]:
    text = (ROOT / "requirements" / name).read_text()
    return {match.lower() for match in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.MULTILINE)}


@pytest.mark.parametrize("module", ["service.__main__", "service.process.server"])
def test_the_service_loads_neither_torch_nor_training(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert module in loaded
    assert not HEAVY & {name.partition(".")[0] for name in loaded}


def test_the_default_install_names_no_training_package() -> None:
    service, dev = locked_packages("service.lock"), locked_packages("dev.lock")
    assert {"fastapi", "onnxruntime", "ai-edge-litert"} <= service
    assert "litert-torch" in dev
    assert not {"torch", "jax", "litert-torch", "onnx", "httpx", "pycocotools"} & service


def test_every_direct_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    direct = {re.split(r"[<>=;\[ ]", line)[0] for line in project["dependencies"]}
    assert direct <= locked_packages("service.lock")


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "requirements").glob("*.lock")])
def test_locks_are_hashed_and_name_no_index_host(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    assert text.count("--hash=sha256:") >= len(locked_packages(name)) > 0
    assert "://" not in text
    assert "--index-url" not in text


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    for folder in ("service", "models", "training"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", place, source], check=True)
    (built,) = place.glob("*.whl")
    return built


def test_the_wheel_holds_the_service_and_its_models_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"service", "blitzmask_server"}
    assert {path.relative_to(ROOT).as_posix() for path in (ROOT / "service").rglob("*.py")} <= names
    assert "service/rest/page/index.html" in names
    assert any(re.fullmatch(r"service/models/[^/]+/card\.json", name) for name in names)


def test_what_pip_installs_is_a_command_that_serves_the_models_of_the_wheel(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", site, wheel], check=True)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [str(site / "bin" / "blitzmask")]
    shown = subprocess.run(
        [*command, "--version"], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert shown.stdout == f"blitzmask {__version__}\n".encode()
    port = free_port()
    serve = [*command, "serve", "--port", str(port), "--grpc-port", "0"]
    with subprocess.Popen(serve, cwd=tmp_path, env=environment, stdout=subprocess.PIPE) as process:
        try:
            wait_until_ready(process, f"http://127.0.0.1:{port}/readyz")
            process.terminate()
            output, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
    assert process.returncode == 0
    ready = next(event for event in map(json.loads, output.splitlines()) if event["event"] == "ready")
    assert ready["models"]

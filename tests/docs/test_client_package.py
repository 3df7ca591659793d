"""The client, installed alone into an empty environment under its own name."""

import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.running import RunningServer

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = "service/rest/page/samples/astronaut.jpg"
PAGES = ("README.md", "client/README.md")
UNCHANGED = """
import logging, os, sys, threading
def describe():
    root = logging.getLogger()
    logs = root.level, list(root.handlers), logging.raiseExceptions
    return dict(os.environ), logs, threading.active_count()
before = describe()
import {package}
assert describe() == before
print(*{{name.partition(".")[0] for name in sys.modules}})
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, built from a copy: a build leaves files behind."""
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in ("client", "service"):
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / folder, source / folder, ignore=ignored)
    for file in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / file, source / file)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "-w", built, source / "client"], check=True)
    (found,) = built.glob("blitzmask_client-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds only the wheel and its requirements."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
        (metadata,) = (name for name in content.namelist() if name.endswith("/METADATA"))
        requires = re.findall(r"^Requires-Dist: (.*)$", content.read(metadata).decode(), re.MULTILINE)
    link_requirements(requires, site)
    return environment / "bin" / "python"


def link_requirements(requires: list[str], site: Path) -> None:
    """Links the installed packages that satisfy these requirements, and theirs."""
    for requirement in map(Requirement, requires):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        package = distribution(requirement.name)
        assert requirement.specifier.contains(package.version)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (site / top).exists():
                (site / top).symlink_to(Path(str(package.locate_file(top))))
                link_requirements(package.requires or [], site)


def test_importing_it_changes_nothing_and_loads_no_part_of_the_server(python: Path) -> None:
    foreign = {"cv2", "httpx", "onnxruntime", "orjson", "pydantic", "scipy", "service"}
    program = UNCHANGED.format(package="blitzmask_client")
    done = subprocess.run([python, "-c", program], cwd="/", capture_output=True, text=True, check=True)
    assert {"blitzmask_client", "numpy", "grpc"} <= set(done.stdout.split())
    assert not foreign & set(done.stdout.split())
    program = UNCHANGED.format(package="service.client")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert not (foreign - {"service"}) & set(done.stdout.split())


def test_its_names_are_those_of_the_checkout(python: Path) -> None:
    import service.client

    program = (
        "import blitzmask_client as client; print(*client.__all__); print(client.InvalidImage.__module__)"
    )
    done = subprocess.run([python, "-c", program], cwd="/", capture_output=True, text=True, check=True)
    names, module = done.stdout.splitlines()
    assert names.split() == service.client.__all__
    assert module == "blitzmask_client.errors"


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run_from_it(python: Path, server: RunningServer, page: str, tmp_path: Path) -> None:
    (tmp_path / SAMPLE).parent.mkdir(parents=True)
    for name in (SAMPLE, "photo.jpg"):
        shutil.copy(ROOT / SAMPLE, tmp_path / name)
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    examples = [block for block in blocks if "client import" in block]
    assert examples
    for example in examples:
        program = server.with_ports(example.replace("service.client", "blitzmask_client"))
        done = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{example}\n{done.stderr}"
        assert done.stdout


def test_its_requirements_are_those_of_the_server() -> None:
    read = [tomllib.loads((ROOT / name / "pyproject.toml").read_text())["project"] for name in ("", "client")]
    service, client = read
    known = {re.sub(" *;.*", "", line) for line in service["dependencies"]}
    known |= set(service["optional-dependencies"]["client"])
    assert set(client["dependencies"]) <= known
    assert set(client["optional-dependencies"]["draw"]) <= known

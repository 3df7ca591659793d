"""Podman with storage of its own: builds the image, and runs it by compose or alone.

Containers are run by runc without systemd, so nothing calls a container's health check but `is_healthy`.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.running import PATIENCE_S, ROOT

BASE = "docker.io/library/debian:trixie-slim"
CONTEXT = ("Dockerfile", ".dockerignore", "docker-compose.yml", "deploy", "models", "requirements", "service")
# Podman's defaults are higher than what it may set where it runs in a container itself.
ULIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=9000:9000")
CONTAINERS_CONF = """
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


@dataclass(frozen=True, slots=True)
class Engine:
    """A folder with the images and containers of one test run, and the environment that podman needs."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of podman and of compose, without settings of the service."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BLITZ_")}
        return kept | {
            "CONTAINERS_CONF": str(self.folder / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(self.folder / "storage.conf"),
            "DOCKER_HOST": f"unix://{self.folder}/podman.sock",
        }

    def podman(self, *words: str | Path) -> str:
        """The output of podman; raises CalledProcessError."""
        done = subprocess.run(
            ["podman", *words], env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        )
        return done.stdout.strip()

    def is_healthy(self, container: str) -> bool:
        """Whether the container's own health check succeeds."""
        check = ["podman", "healthcheck", "run", container]
        return subprocess.run(check, env=self.environment, stderr=subprocess.DEVNULL).returncode == 0

    def wait_until_healthy(self, container: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not self.is_healthy(container):
            state = self.podman("inspect", container, "--format", "{{.State.Status}}")
            assert state == "running", self.podman("logs", container)
            assert time.monotonic() < deadline, self.podman("logs", container)
            time.sleep(0.5)

    def python(self, container: str, program: str) -> str:
        """The output of a Python program that runs in the container."""
        return self.podman("exec", container, "python", "-c", program)


def why_not() -> str | None:
    """The reason why no image can be built here, if there is one."""
    missing = [name for name in ("podman", "runc") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed (Debian: apt-get install podman runc netavark)"
    return "containers are run as root here" if os.geteuid() else None


@contextlib.contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """An engine whose images and containers are gone at the end; its API listens for compose."""
    (folder / "containers.conf").write_text(CONTAINERS_CONF)
    storage = f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/images"\nrunroot = "{folder}/run"\n'
    (folder / "storage.conf").write_text(storage)
    engine = Engine(folder)
    serve = ["podman", "system", "service", "--time=0", f"unix://{folder}/podman.sock"]
    with subprocess.Popen(serve, env=engine.environment) as api:
        try:
            yield engine
        finally:
            engine.podman("rm", "--all", "--force", "--time", "0")
            engine.podman("rmi", "--all", "--force")
            api.terminate()


def provide_base(engine: Engine) -> None:
    """The base image, from its registry, or where that cannot be reached made of Debian's packages."""
    pull = subprocess.run(["podman", "pull", "--quiet", BASE], env=engine.environment, capture_output=True)
    if pull.returncode == 0:
        return
    root = engine.folder / "base"
    included = "--include=ca-certificates"
    subprocess.run(["debootstrap", "--variant=minbase", included, "trixie", root], check=True)
    for file in ("etc/ssl/certs/ca-certificates.crt", "etc/pip.conf"):  # how this machine reaches packages
        if Path("/", file).exists():
            shutil.copy(Path("/", file), root / file)
    archive = engine.folder / "base.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    engine.podman("import", archive, BASE)
    shutil.rmtree(root)
    archive.unlink()


def copy_checkout(place: Path) -> Path:
    """The files of an image as a checkout under umask 077 has them: only their owner can read them."""
    place.mkdir()
    for name in CONTEXT:
        subprocess.run(["cp", "--recursive", ROOT / name, place], check=True)
    subprocess.run(["chmod", "--recursive", "go-rwx", place], check=True)
    return place


def build_image(engine: Engine, checkout: Path, *, flavour: str) -> str:
    """The tag of the image of this flavour."""
    tag = f"blitzmask-server:{flavour}"
    options = ["--runtime", "runc", "build", "--format", "docker", "--network", "host", "--pull=never"]
    command = ["podman", *options, "--build-arg", f"FLAVOUR={flavour}", "--tag", tag, str(checkout)]
    subprocess.run(command, env=engine.environment, check=True)
    return tag

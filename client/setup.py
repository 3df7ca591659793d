"""Builds `blitzmask_client` out of the modules of `service` that its client imports.

`service` holds the only copy of these modules. The build follows the imports of `service.client`, and writes
each module under its new name: `service.client.x` and `service.x` both become `blitzmask_client.x`.
"""

import ast
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent.parent
CLIENT = "service.client"
PACKAGE = "blitzmask_client"
IMPORT = re.compile(r"^(\s*(?:>>> )?(?:from|import) )service(?:\.client)?\b", re.MULTILINE)


class BuildClient(build_py):
    """Writes the package from the service's modules."""

    def run(self) -> None:
        folder = Path(self.build_lib, PACKAGE)
        shutil.rmtree(folder, ignore_errors=True)  # a module of an earlier build may be gone
        for name, source in find_modules().items():
            target = folder / rename_module(name) / source.name
            if source.name != "__init__.py":
                target = target.parent.with_suffix(".py")
            assert not target.exists(), f"two modules would be {target}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(IMPORT.sub(rf"\1{PACKAGE}", source.read_text()))
        (folder / "py.typed").touch()

    def get_source_files(self) -> list[str]:
        return []


def find_modules() -> dict[str, Path]:
    """The files of the client and of all that it imports of the service, by the names of their modules."""
    found: dict[str, Path] = {}
    waiting = [CLIENT]
    while waiting:
        name = waiting.pop()
        source = find_source(name)
        if source is None or name in found:
            continue
        found[name] = source
        waiting += [name.rpartition(".")[0], *read_imports(source)]
    return found


def find_source(name: str) -> Path | None:
    """The file of a module; None for `service` itself, and for names that are no modules."""
    path = ROOT.joinpath(*name.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if "." in name and file.is_file()), None)


def read_imports(source: Path) -> Iterator[str]:
    """The names that a file imports from the service; some are modules, others are within modules."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "service":
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rename_module(name: str) -> Path:
    """The place of a module within the package; those of `service` and `service.client` are on one level."""
    inner = name.removeprefix("service").removeprefix(".client")
    return Path(*inner.strip(".").split("."))


setup(
    version=tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"],
    packages=[PACKAGE],
    cmdclass={"build_py": BuildClient},
)

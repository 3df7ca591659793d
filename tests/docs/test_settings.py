"""docs/settings.md describes every setting, and the service uses every setting."""

import ast
from collections.abc import Iterator
from pathlib import Path

from service.settings import Settings, variable
from service.settings_reference import write_reference

ROOT = Path(__file__).resolve().parents[2]
NAMES = {"settings", "_settings", "chosen"}  # the variables that hold the settings, everywhere in the service


def read_code() -> Iterator[tuple[Path, ast.Module]]:
    for path in (ROOT / "service").rglob("*.py"):
        yield path, ast.parse(path.read_text())


def find_attributes(code: ast.AST, owners: set[str]) -> set[str]:
    """The attributes that the code reads of these variables."""
    found = set[str]()
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if name in owners:
                found.add(node.attr)
    return found


def find_used() -> set[str]:
    """The settings that the service reads, itself or through a property of Settings that it reads."""
    used = {name for _, code in read_code() for name in find_attributes(code, NAMES)}
    source = ast.parse((ROOT / "service/settings.py").read_text())
    (settings,) = (node for node in source.body if getattr(node, "name", "") == "Settings")
    properties = {
        node.name: find_attributes(node, {"self"})
        for node in ast.walk(settings)
        if isinstance(node, ast.FunctionDef)
    }
    for _ in properties:  # a property may read another one
        used |= {name for each in used & properties.keys() for name in properties[each]}
    return used


def test_the_page_is_what_the_settings_say_now() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert page == write_reference(), "run `make docs`"


def test_every_setting_has_a_description() -> None:
    page = write_reference()
    for field, info in Settings.model_fields.items():
        assert info.description, f"{variable(field)} has no description"
        assert f"| `{variable(field)}` |" in page


def test_a_setting_without_a_default_says_what_unset_means() -> None:
    for line in write_reference().splitlines():
        assert "| unset |" not in line or "unset: " in line, line


def test_every_setting_is_used() -> None:
    used = find_used()
    assert [variable(field) for field in Settings.model_fields if field not in used] == []

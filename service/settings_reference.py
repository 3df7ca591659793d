"""The reference of all settings as Markdown: `make docs` writes it to docs/settings.md."""

from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from service.security.callers import Key
from service.security.fetching import Host
from service.settings import DropInName, Settings, variable

HEADING = """\
# Settings

`make docs` writes this page from `service/settings.py`: change the descriptions there.

Every setting is an environment variable, and all are optional. An empty variable counts as unset. A variable
that begins with `BLITZ_` and is not in this list stops the start. `blitzmask settings` shows the values in
effect.

| variable | accepts | default | meaning |
|---|---|---|---|
"""
KINDS: dict[object, str] = {
    bool: "`yes` or `no`",
    float: "a number",
    int: "a whole number",
    str: "text",
    Path: "a path",
    tuple[str, ...]: "a list, separated by commas",
    tuple[Key, ...]: "a list, separated by commas",
    tuple[Host, ...]: "a list, separated by commas",
    tuple[DropInName, ...]: "`deepstack`, `cvat`, or both with a comma between them",
    SecretStr: "text",
}


def write_reference() -> str:
    """The page: a table with the name, accepted values, default and meaning of every setting."""
    rows = (_write_row(name, info) for name, info in Settings.model_fields.items())
    return HEADING + "".join(rows)


def _write_row(name: str, info: FieldInfo) -> str:
    meaning = str(info.description).replace("|", "\\|")
    cells = (f"`{variable(name)}`", _describe_values(info), _describe_default(info.default), meaning)
    return f"| {' | '.join(cells)} |\n"


def _describe_values(info: FieldInfo) -> str:
    """The kind of value, and the range of a number.

    >>> _describe_values(Settings.model_fields["http_port"])
    'a whole number, at least 0, at most 65535'
    """
    kind = _drop_none(info.annotation)
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    narrowed = any(isinstance(rule, Gt) for rule in info.metadata)  # durations are "at least 0", too
    rules = [rule for rule in info.metadata if not (narrowed and isinstance(rule, Ge))]
    return ", ".join([KINDS[kind], *filter(None, map(_describe_bound, rules))])


def _drop_none(annotation: Any) -> Any:
    """The annotation without the None that stands for an unset value."""
    kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(annotation) else annotation


def _describe_bound(rule: object) -> str:
    match rule:
        case Ge(ge=limit):
            return f"at least {limit}"
        case Gt(gt=limit):
            return f"more than {limit}"
        case Le(le=limit):
            return f"at most {limit}"
        case _:
            return ""


def _describe_default(default: object) -> str:
    """The default as a variable would give it; its meaning says what an unset variable stands for.

    >>> _describe_default(0.5), _describe_default(False), _describe_default(None)
    ('`0.5`', '`no`', 'unset')
    """
    if isinstance(default, bool):
        return "`yes`" if default else "`no`"
    return "unset" if default in (None, (), PydanticUndefined) else f"`{default}`"

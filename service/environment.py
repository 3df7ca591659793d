"""Reads and describes the settings: the only reader of the environment."""

import difflib
import os

from pydantic import ValidationError

from service.errors import InvalidSetting
from service.settings import PREFIX, Settings

SECRET = ("api_keys", "admin_keys")  # a key may stand there by mistake


def variable(field: str) -> str:
    """The environment variable of a field.

    >>> variable("http_port")
    'BLITZ_HTTP_PORT'
    """
    return PREFIX + field.upper()


def read_settings() -> Settings:
    """The settings of this process's environment.

    Raises InvalidSetting, one line a fault, when a BLITZ_ variable is unknown or its value unusable.
    """
    _refuse_unknown()
    try:
        settings = Settings()
    except ValidationError as error:
        faults = [
            _describe_fault(str(item["loc"][0]), item["input"], item["msg"])
            for item in error.errors()
            if item["type"] != "default_factory_not_called"  # only a consequence of the others
        ]
        raise InvalidSetting("\n".join(faults)) from error
    _ = settings.choice, settings.tls  # the same error where one setting contradicts another
    return settings


def _refuse_unknown() -> None:
    known = [variable(field) for field in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
            hint = f"did you mean {near[0]}?" if near else "`python -m service settings` lists all of them"
            raise InvalidSetting(f"{name} is not a setting; {hint}")


def _describe_fault(field: str, value: object, reason: str) -> str:
    reason = reason.removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    shown = "..." if field in SECRET else _show(value)
    return f"{variable(field)}={shown}: {reason} ({Settings.model_fields[field].description})"


def describe_settings(settings: Settings) -> list[tuple[str, str, str]]:
    """For every setting: its variable, its value in effect, and what it means."""
    return [
        (variable(field), _show(getattr(settings, field)), str(info.description))
        for field, info in Settings.model_fields.items()
    ]


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "" if value is None else str(value)

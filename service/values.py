"""How the text of a variable becomes the value of a setting."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from service.security.keys import Key, parse_keys


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _read_keys(value: object) -> object:
    if not isinstance(value, str):
        return value
    return parse_keys([part for part in value.split(",") if part.strip()])


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_commas)]
KeyEntries = Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_read_keys)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
LogFormat = Literal["json", "console"]

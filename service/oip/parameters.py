"""The parameters of a request, checked; unknown ones are ignored, as the protocol's other servers do."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.errors import InvalidOption
from service.oip.models import Kind
from service.types import Nms, Options, Tiles


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, not a boolean")
    return value


Number = BeforeValidator(_refuse_bool)


class TensorParameters(BaseModel):
    """The parameters of any inference; `timeout` is in microseconds, 0 for none."""

    model_config = ConfigDict(frozen=True)

    timeout: Annotated[int, Number, Field(ge=0, lt=2**63)] = 0

    @property
    def patience_s(self) -> float | None:
        """Seconds that the caller waits for the work to begin; None if it sets no limit."""
        return self.timeout / 1e6 or None

    @property
    def options(self) -> Options:
        return Options()


class ImageParameters(TensorParameters):
    """The parameters of one image; `classes` holds labels separated by commas."""

    score_threshold: Annotated[float, Number, Field(ge=0, le=1)] | None = None
    max_instances: Annotated[int, Number, Field(ge=1)] | None = None
    classes: str | None = None
    masks: Literal["rle", "none"] = "rle"  # the forms that a tensor can have
    exact: bool | None = None
    nms: Nms = "class"
    tiles: Tiles | None = None

    @property
    def options(self) -> Options:
        """Raises InvalidOption where `classes` names none."""
        names = tuple(name.strip() for name in (self.classes or "").split(",") if name.strip())
        if self.classes is not None and not names:
            raise InvalidOption("classes is empty: name at least one label, or leave it out for all")
        return Options(
            self.score_threshold,
            self.max_instances,
            names or None,
            self.masks,
            self.exact,
            self.nms,
            tiles=self.tiles,
        )


PARAMETERS: dict[Kind, type[TensorParameters]] = {"image": ImageParameters, "tensors": TensorParameters}


def read_parameters(kind: Kind, values: Mapping[str, object]) -> TensorParameters:
    """The parameters of a request; raises InvalidOption where the value of a known one is out of range."""
    known = PARAMETERS[kind]
    try:
        return known.model_validate({name: values[name] for name in known.model_fields if name in values})
    except ValidationError as error:
        faults = [f"parameter {item['loc'][0]}: {_lower(item['msg'])}" for item in error.errors()]
        raise InvalidOption(f"{'; '.join(faults)} (known are {', '.join(known.model_fields)})") from error


def _lower(message: str) -> str:
    return message[0].lower() + message[1:]

"""The parameters of a request, checked."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from service.errors import InvalidOption
from service.oip.views import Kind
from service.types import Nms, Options


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number, not a boolean")
    return value


Number = BeforeValidator(_refuse_bool)


class TensorParameters(BaseModel):
    """What may be asked of any inference; `timeout` is in microseconds, 0 for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    timeout: Annotated[int, Number, Field(ge=0, lt=2**63)] = 0

    @property
    def patience_s(self) -> float | None:
        """Seconds that the caller waits for the work to begin."""
        return self.timeout / 1e6 or None

    @property
    def options(self) -> Options:
        return Options()


class ImageParameters(TensorParameters):
    """What may be asked of one image, beside it; `classes` is a list separated by commas."""

    score_threshold: Annotated[float, Number, Field(ge=0, le=1)] | None = None
    max_instances: Annotated[int, Number, Field(ge=1)] | None = None
    classes: str | None = None
    masks: Literal["rle", "none"] = "rle"  # the forms that a tensor can have
    exact: bool | None = None
    nms: Nms = "class"

    @property
    def options(self) -> Options:
        """Raises InvalidOption where `classes` names none."""
        names = tuple(name.strip() for name in (self.classes or "").split(",") if name.strip())
        if self.classes is not None and not names:
            raise InvalidOption("classes is empty: name at least one label, or leave it out for all")
        return Options(
            self.score_threshold, self.max_instances, names or None, self.masks, self.exact, self.nms
        )


PARAMETERS: dict[Kind, type[TensorParameters]] = {"image": ImageParameters, "tensors": TensorParameters}


def read_parameters(kind: Kind, values: Mapping[str, object]) -> TensorParameters:
    """The parameters of a request; raises InvalidOption where one is unknown or cannot be used."""
    known = PARAMETERS[kind]
    try:
        return known.model_validate(dict(values))
    except ValidationError as error:
        faults = [_describe_fault(item["type"], str(item["loc"][0]), item["msg"]) for item in error.errors()]
        raise InvalidOption(f"{'; '.join(faults[:4])} (known are {', '.join(known.model_fields)})") from error


def _describe_fault(kind: str, name: str, message: str) -> str:
    if kind == "extra_forbidden":
        return f"{name:.40} is no parameter of this model"
    return f"parameter {name}: {message[0].lower()}{message[1:]}"

"""The fields and checks that the cards of all families share."""

from collections.abc import Mapping
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from service.types import Size

Shape: TypeAlias = tuple[int | None, ...]  # of a head without the batch axis; None: a free extent
Comparison: TypeAlias = Literal[">", ">="]


class Frozen(BaseModel):
    """A part of a card: unknown fields and numbers that are not finite are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Family(Frozen):
    """The fields of every decoder."""

    family: str
    score_threshold: float = Field(default=0.25, ge=0, le=1)
    max_instances: int = Field(default=300, ge=1, le=65_535)  # a label map numbers them in 16 bits
    comparison: Comparison = Field(
        default=">", description="of a score with the threshold: an instance stays where it is true"
    )

    @property
    def has_masks(self) -> bool:
        """False for a model of boxes only."""
        return True

    @property
    def listed(self) -> tuple[str, ...]:
        """The heads whose rows are instances, best first; the self-test samples only their first row."""
        return ()

    @property
    def numbers_classes(self) -> bool:
        """True where a head holds the number of each instance's class, so that unknown ones may occur."""
        return False

    def output_shapes(self, canvas: Size, channels: int) -> Mapping[str, Shape]:
        """Shape of every head without the batch axis; None where the decoder accepts any extent."""
        raise NotImplementedError

    def check_outputs(self, outputs: Mapping[str, Shape], canvas: Size, channels: int) -> None:
        """Raises ValueError where the graph's outputs are not those of the family.

        channels: of class scores, with those that have no label.
        """
        expected = self.output_shapes(canvas, channels)
        if outputs.keys() != expected.keys() or not all(
            shape_fits(outputs[name], shape) for name, shape in expected.items()
        ):
            raise ValueError(
                f"outputs {dict(outputs)} do not fit input, labels and decoder, which give {expected}"
            )


def shape_fits(found: Shape, expected: Shape) -> bool:
    """True where the ranks are equal, and every extent that is expected; None expects nothing.

    >>> shape_fits((300, 38), (None, 38)), shape_fits((38, 300), (None, 38))
    (True, False)
    """
    return len(found) == len(expected) and all(
        wanted is None or extent == wanted for extent, wanted in zip(found, expected, strict=True)
    )

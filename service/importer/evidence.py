"""Evidence about a foreign graph, and the plan that a family makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from service.errors import InvalidOption
from service.importer.graft import Preparation
from service.importer.graph import Graph
from service.importer.labels import make_labels
from service.importer.probe import Outputs
from service.inference.card import Input, Label
from service.inference.families import Decoder
from service.types import Size

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green, blue in [0, 1]
IMAGENET_STD = (0.229, 0.224, 0.225)
MEAN_PIXEL = 114  # the padding that comes nearest to a zero after ImageNet's normalisation


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """All that is known about a file before its family is.

    canvas: of the graph; for a graph that takes any size, of the photo that gave `outputs`.
    outputs: arrays of one run on a photo. names: class names by number, from the user or the file.
    """

    graph: Graph
    canvas: Size
    outputs: Outputs
    names: Mapping[int, str] | None = None
    any_size: bool = False

    def pick(self, rank: int) -> list[str]:
        """The outputs with this number of axes."""
        return [name for name, values in self.outputs.items() if values.ndim == rank]

    def pick_whole(self, rank: int) -> list[str]:
        """The outputs of whole numbers with this number of axes: class numbers."""
        return [name for name in self.pick(rank) if np.issubdtype(self.outputs[name].dtype, np.integer)]

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an output."""
        found: tuple[int, ...] = self.outputs[name].shape
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """The way to serve a file: card fields, the numbers that the graph takes, and notes for the user.

    columns: heads that the import adds to the graph, each as one column of the last axis of another output.
    unbatched: heads without a batch axis, in a graph whose input has one.
    """

    title: str
    input: Input
    decoder: Decoder
    labels: tuple[Label, ...]
    preparation: Preparation = field(default_factory=Preparation)
    licence: str = "not known: ask whoever made them"
    notes: tuple[str, ...] = ()
    columns: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    unbatched: tuple[str, ...] = ()


def place_letterbox(canvas: Size, anchor: Literal["top_left", "centre"], padding: int = MEAN_PIXEL) -> Input:
    """The picture with its aspect kept, resized without averaging, as `cv2.resize` does by default."""
    return Input(
        height=canvas.height,
        width=canvas.width,
        fit="letterbox",
        anchor=anchor,
        padding=padding,
        interpolation="linear",
    )


def label_dense(evidence: Evidence, classes: int | None, *, first: int = 0) -> tuple[Label, ...]:
    """Labels for the channels from `first` on; classes: their number, where the shapes tell it.

    Raises InvalidOption where names are missing, or there are more or fewer of them.
    """
    if evidence.names is None:
        count = "one for each class" if classes is None else f"{classes} in all"
        raise InvalidOption(
            f"the file does not name its classes: write one name on each line of a file, {count}, and give "
            "it as --labels FILE, or give --labels coco for COCO's 80"
        )
    if classes is not None and len(evidence.names) != classes:
        raise InvalidOption(
            f"the graph has {classes} classes and there are {len(evidence.names)} names: give a file with "
            f"{classes} names, one on each line, as --labels FILE"
        )
    return make_labels({number + first: name for number, name in evidence.names.items()})

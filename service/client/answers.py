"""Answers of a server: the models that it has, and the masks of an image as pixels."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from service.types import BackendInfo, Mask, Pixels, Segmentation, Size


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that answers.

    input: size of the network's input; images of any size are accepted.
    categories: the category id of each label, in the model's order.
    score_threshold, max_instances: the defaults of calls that do not set these options.
    """

    name: str
    version: str
    description: str
    network: str
    input: Size
    categories: Mapping[str, int]
    score_threshold: float
    max_instances: int
    parameters: int
    multiply_adds: int
    backend: BackendInfo


@dataclass(frozen=True, slots=True)
class ModelList:
    """The models that answer, the default first.

    refused: the folder of each model that does not answer, and the reason.
    unloaded: the folders of models that were unloaded.
    """

    models: tuple[ModelInfo, ...]
    refused: Mapping[str, str]
    unloaded: tuple[str, ...]


def decode_masks(found: Segmentation) -> Mask:
    """The masks in the order of the instances: bool [N, H, W], image frame.

    Raises ValueError when the answer has no masks, or when a mask has another size than the image.

    >>> from service.types import BackendInfo, Instance, Rle, Size
    >>> cat = Instance("cat", 17, 0.9, (0, 0, 1, 2), 2, Rle(Size(2, 2), "022"))
    >>> backend = BackendInfo("onnxruntime", "1.31", "fp32", 1, (), ())
    >>> decode_masks(Segmentation(Size(2, 2), (cat,), "toy", "1", backend)).tolist()
    [[[True, False], [True, False]]]
    """
    return np.asarray(found.masks)


def draw_overlay(pixels: Pixels, found: Segmentation) -> Pixels:
    """A copy of the picture, uint8 [H, W, 3] RGB, with masks, boxes and labels.

    Raises ImportError without OpenCV, and ValueError when the picture has another size than the answer.
    """
    try:
        from service.inference.masks import overlay  # here: no other part of the client needs OpenCV
    except ImportError as error:
        raise ImportError("draw_overlay needs OpenCV: pip install opencv-python-headless") from error
    return overlay.draw_overlay(pixels, found)

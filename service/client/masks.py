"""The masks of an answer as pixels, and drawn over the picture."""

import numpy as np

from service.inference.masks.forms import form_to_mask
from service.types import Mask, Pixels, Segmentation


def decode_masks(found: Segmentation) -> Mask:
    """The masks in the order of the instances: bool [N, H, W], image frame.

    Raises ValueError when the answer has no masks, or when a mask has another size than the image.

    >>> from service.types import BackendInfo, Instance, Rle, Size
    >>> cat = Instance("cat", 17, 0.9, (0, 0, 1, 2), 2, Rle(Size(2, 2), "022"))
    >>> backend = BackendInfo("onnxruntime", "1.31", "fp32", 1, (), ())
    >>> decode_masks(Segmentation(Size(2, 2), (cat,), "toy", "1", backend)).tolist()
    [[[True, False], [True, False]]]
    """
    masks = np.zeros((len(found.instances), found.image.height, found.image.width), bool)
    for mask, instance in zip(masks, found.instances, strict=True):
        if instance.segmentation is None:
            raise ValueError(
                'the answer has no masks: ask for them with Options(masks="rle"), '
                "and of a model that finds more than boxes"
            )
        mask[:] = form_to_mask(instance.segmentation, found.image)
    return masks


def draw_overlay(pixels: Pixels, found: Segmentation) -> Pixels:
    """A copy of the picture, uint8 [H, W, 3] RGB, with masks, boxes and labels.

    Raises ImportError without OpenCV, and ValueError when the picture has another size than the answer.
    """
    try:
        from service.inference.masks import overlay  # here: no other part of the client needs OpenCV
    except ImportError as error:
        raise ImportError("draw_overlay needs OpenCV: pip install opencv-python-headless") from error
    return overlay.draw_overlay(pixels, found)

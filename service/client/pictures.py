"""Between pixels and what goes over the wire."""

import cv2
import numpy as np

from service.inference.masks.forms import form_to_mask
from service.types import Mask, Pixels, Segmentation


def pixels_to_png(pixels: Pixels) -> bytes:
    """A picture, uint8 [H, W, 3] RGB, as a server takes it, without loss."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".png", bgr, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    return encoded.tobytes()


def decode_masks(found: Segmentation) -> Mask:
    """The masks in the order of the instances: bool [N, H, W], image frame; empty where none were asked for.

    Raises ValueError where one is not of this image.

    >>> from service.types import BackendInfo, Instance, Rle, Size
    >>> cat = Instance("cat", 17, 0.9, (0, 0, 1, 2), 2, Rle(Size(2, 2), "022"))
    >>> backend = BackendInfo("onnxruntime", "1.31", "fp32", 1, (), ())
    >>> decode_masks(Segmentation(Size(2, 2), (cat,), "toy", "1", backend)).tolist()
    [[[True, False], [True, False]]]
    """
    masks = np.zeros((len(found.instances), found.image.height, found.image.width), bool)
    for mask, instance in zip(masks, found.instances, strict=True):
        if instance.segmentation is not None:
            mask[:] = form_to_mask(instance.segmentation, found.image)
    return masks

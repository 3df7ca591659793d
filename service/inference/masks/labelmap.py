"""All masks in one picture: the number of an instance at every pixel."""

import numpy as np
import numpy.typing as npt

from service.inference.masks.runs import Runs

LabelMap = npt.NDArray[np.uint16]


def draw_labelmap(runs: Runs) -> LabelMap:
    """uint16 [H, W]: n + 1 where mask n is on top, 0 where there is none; earlier masks cover later ones.

    Raises ValueError when there are more masks than numbers.

    >>> from service.types import Size
    >>> draw_labelmap(Runs(Size(2, 2), np.array([[0, 1], [0, 3]]), np.array([0, 1, 2])))
    array([[1, 2],
           [2, 0]], dtype=uint16)
    """
    if len(runs) > np.iinfo(np.uint16).max:
        raise ValueError(f"{len(runs)} masks do not fit 16 bits; ask for at most {np.iinfo(np.uint16).max}")
    pixels = np.zeros(runs.image.pixels, np.uint16)
    numbers = (runs.owners + 1).tolist()
    for (start, end), number in zip(reversed(runs.bounds.tolist()), reversed(numbers), strict=True):
        pixels[start:end] = number
    return np.ascontiguousarray(pixels.reshape(runs.image.width, runs.image.height).T)

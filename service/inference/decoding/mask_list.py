"""Final lists of masks, labels and scores to instances: exports of SOLOv2 or SparseInst, for example.

The graph has no boxes: the box of an instance is the extent of its mask.
"""

import numpy as np

from service.inference.decoding.boxes_masks import choose_rows, read_fields
from service.inference.decoding.fields import enclose_fields
from service.inference.decoding.selection import SAME_OBJECT, Criteria, check_finite, keep_wanted
from service.inference.families import MaskListDecoder
from service.types import Heads, Instances


def decode_mask_list(heads: Heads, decoder: MaskListDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold, best first, in the canvas frame.

    heads: labels [1, n], scores [1, n], masks [1, n, h, w] or [1, n, 1, h, w], over the whole canvas.

    The boxes are those of the mask's cells: the exact ones are known when the masks are traced in the image.
    Equal scores keep the graph's order. Raises SelfTestFailed when a head holds a value that is not finite.
    """
    scores, channels = heads[decoder.scores][0], check_finite(heads[decoder.labels][0]).astype(np.int64)
    chosen = choose_rows(scores, channels, decoder, criteria)
    fields = read_fields(heads[decoder.masks], chosen)
    found = Instances(
        classes=channels[chosen],
        scores=scores[chosen],
        boxes_xyxy_canvas=enclose_fields(fields, decoder.mask_level, criteria.canvas),
        mask_fields=fields,
        mask_level=decoder.mask_level,
        window="none",
        box_is_extent=True,
    )
    return keep_wanted(found, criteria, SAME_OBJECT)

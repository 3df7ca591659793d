"""Final rows of a graph that ends with NMS, or needs none, to instances.

Ultralytics' exports with `nms=True` and its end-to-end models give them: best first, and zeros fill them up.
"""

import numpy as np

from service.inference.decoding.selection import Criteria, check_finite, is_wanted, least_score, suppress
from service.inference.decoding.yolo import Predictions, predictions_to_instances, read_boxes
from service.inference.families import RowsDecoder
from service.types import Floats, Heads, Instances


def decode_rows(heads: Heads, decoder: RowsDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold, best first, in the canvas frame.

    heads: the rows (x1, y1, x2, y2, score, class, K coefficients), [1, n, 6 + K], and the prototypes,
        [1, K, h, w] or [1, h, w, K].

    One box may come with several classes, unless NMS over all classes is asked for. Equal scores keep their
    order. A threshold that is below the one inside the graph finds nothing more.
    Raises SelfTestFailed when a value that is needed is not finite.
    """
    found = _read_rows(heads[decoder.predictions][0], decoder, criteria)
    if criteria.nms == "all":
        found = found.keep(suppress(found.boxes_xyxy, np.zeros_like(found.channels), decoder.overlap))
    found = found.keep(is_wanted(found.channels, criteria.classes))
    return predictions_to_instances(found, heads[decoder.prototypes][0], decoder, criteria.canvas)


def _read_rows(rows: Floats, decoder: RowsDecoder, criteria: Criteria) -> Predictions:
    scores = rows[:, 4]
    passing = (~(scores < least_score(criteria.threshold, decoder.comparison))).nonzero()[0]
    best = passing[np.argsort(-scores[passing], kind="stable")[: decoder.max_instances]]
    chosen = check_finite(rows[best])
    return Predictions(
        boxes_xyxy=read_boxes(chosen[:, :4], decoder, criteria.canvas),
        scores=chosen[:, 4],
        channels=chosen[:, 5].round().astype(np.int64),
        coefficients=chosen[:, 6:],
    )

"""Heads of networks with a fixed number of queries to instances: RF-DETR, DETR, Mask2Former, K-Net.

Each query has a score for each class and a mask over the whole canvas. Training matches each object with
one query, so no NMS follows.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from service.inference.decoding.fields import enclose_fields, rate_masks, sigmoid, softmax
from service.inference.decoding.selection import SAME_OBJECT, Criteria, check_finite, keep_wanted, least_score
from service.inference.families import Activation, QueriesDecoder
from service.types import Floats, Heads, Instances, Ints, Size

ACTIVATIONS: Mapping[Activation, Callable[[Floats], Floats]] = {
    "sigmoid": sigmoid,
    "softmax": softmax,
    "none": np.copy,
}


def decode_queries(heads: Heads, decoder: QueriesDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold, best first, in the canvas frame.

    heads: class scores [1, Q, C], masks [1, Q, h, w] and, if the card names them, boxes [1, Q, 4].

    Only the `max_instances` best pairs of a query and a class become instances. With `maskness` the final
    score depends on the mask, too. Equal scores are ordered by query, then class.
    Raises SelfTestFailed when a head holds a value that is not finite.
    """
    least = least_score(criteria.threshold, decoder.comparison)
    scores = _compute_scores(check_finite(heads[decoder.scores][0]), decoder)
    # Channels without a label take their places among the best, too, as in the families' own tools.
    queries, channels = choose_pairs(scores, least, None, one_class=decoder.one_class)
    queries, channels = queries[: decoder.max_instances], channels[: decoder.max_instances]
    fields = check_finite(heads[decoder.masks][0][queries])
    found = Instances(
        classes=channels,
        scores=scores[queries, channels],
        boxes_xyxy_canvas=_read_boxes(heads, decoder, queries, fields, criteria.canvas),
        mask_fields=fields,
        mask_level=decoder.mask_level,
        window="none",
        box_is_extent=decoder.boxes is None,
        raster=decoder.maskness_side,
    )
    if decoder.maskness:
        found = _weigh_masks(found, decoder, least)
    return keep_wanted(found, criteria, SAME_OBJECT)


def choose_pairs(
    scores: Floats, least: float, classes: frozenset[int] | None, *, one_class: bool = False
) -> tuple[Ints, Ints]:
    """Row and channel of the scores [Q, C] that are at least `least`, best first: int64 [P] each.

    classes: the channels to take; None for all. one_class: of each row only the best channel of all.

    >>> rows, channels = choose_pairs(np.array([[0.5, 0.7], [0.9, 0.1]], np.float32), 0.4, None)
    >>> rows.tolist(), channels.tolist()
    ([1, 0, 0], [0, 1, 0])
    """
    passing = scores >= least
    if classes is not None:
        passing &= np.isin(np.arange(scores.shape[1]), list(classes))
    if one_class:
        passing &= np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    rows, channels = passing.nonzero()
    order = np.argsort(-scores[rows, channels], kind="stable")
    return rows[order], channels[order]


def _compute_scores(values: Floats, decoder: QueriesDecoder) -> Floats:
    """The scores of the classes, float32 [Q, C]; the background gets 0, so that it is never answered."""
    scores = ACTIVATIONS[decoder.activation](values)
    if decoder.background != "none":
        scores[:, 0 if decoder.background == "first" else -1] = 0
    return scores


def _read_boxes(heads: Heads, decoder: QueriesDecoder, queries: Ints, fields: Floats, canvas: Size) -> Floats:
    """The boxes of the queries, or else of their masks' cells: float32 [N, 4] xyxy, canvas frame."""
    if decoder.boxes is None:
        return enclose_fields(fields, decoder.mask_level, canvas)
    centres, sizes = np.split(check_finite(heads[decoder.boxes][0][queries]), 2, axis=1)
    corners = np.hstack([centres - np.float32(0.5) * sizes, centres + np.float32(0.5) * sizes])
    boxes: Floats = corners * np.array([canvas.width, canvas.height] * 2, np.float32)
    return boxes


def _weigh_masks(found: Instances, decoder: QueriesDecoder, least: float) -> Instances:
    """The instances with their scores times the mean probability of the mask, sorted and cut off again."""
    means = rate_masks(
        found.mask_fields,
        decoder.mask_level,
        logits=decoder.mask_values == "logits",
        side=decoder.maskness_side,
    )
    scores = found.scores * means
    order = np.argsort(-scores, kind="stable")
    return replace(found, scores=scores).keep(order[scores[order] >= least])

"""Raw heads of networks with dynamic kernels to instances, as in SOLOv2 (Wang et al. 2020, sec. 3).

Each place of a grid predicts the scores of the classes and a kernel: the weights of a 1 x 1 convolution over
features that all instances share. Its result is the mask. Matrix NMS lowers the scores of masks that overlap
better ones of their class, and removes none.
"""

from dataclasses import replace

import numpy as np

from service.inference.decoding.fields import enclose_fields, rate_masks, sigmoid
from service.inference.decoding.queries import choose_pairs
from service.inference.decoding.selection import SAME_OBJECT, Criteria, check_finite, keep_wanted, least_score
from service.inference.families import KernelsDecoder
from service.types import Floats, Heads, Instances, Ints, Size


def decode_kernels(heads: Heads, decoder: KernelsDecoder, criteria: Criteria) -> Instances:
    """The instances that pass the threshold, best first, in the canvas frame.

    heads: class scores [1, A, C] between 0 and 1, without those that are no local maximum; kernels [1, A, E];
        features [1, E, h, w].

    The final score is the class score times the mean probability of the mask's cells, lowered by matrix NMS.
    Equal scores are ordered by place, then class. Raises SelfTestFailed when a head holds a value that is not
    finite.
    """
    found = _read_places(heads, decoder, criteria.canvas)
    found = _sort(replace(found, scores=decay_scores(found, decoder.sigma)))
    passing = found.scores >= least_score(criteria.threshold, decoder.comparison)
    return keep_wanted(found.keep(passing.nonzero()[0][: decoder.max_instances]), criteria, SAME_OBJECT)


def _read_places(heads: Heads, decoder: KernelsDecoder, canvas: Size) -> Instances:
    """The instances of the best places and classes whose masks are large enough, best first.

    SOLOv2 limits the candidates only after it has computed all masks. Here the limit comes first, so that no
    picture needs more memory.
    """
    scores = check_finite(heads[decoder.scores][0])
    places, channels = choose_pairs(scores, least_score(decoder.candidate_score, ">"), None)
    places, channels = places[: decoder.candidates], channels[: decoder.candidates]
    kernels = check_finite(heads[decoder.kernels][0][places])
    fields = _convolve(kernels, check_finite(heads[decoder.features][0]))
    cells = (fields > np.float32(decoder.mask_level)).sum(axis=(1, 2))
    found = Instances(
        classes=channels,
        scores=scores[places, channels] * rate_masks(fields, decoder.mask_level, logits=False),
        boxes_xyxy_canvas=enclose_fields(fields, decoder.mask_level, canvas),
        mask_fields=fields,
        mask_level=decoder.mask_level,
        window="none",
        box_is_extent=True,
    )
    return _sort(found.keep(cells > _least_cells(decoder)[places]))


def decay_scores(found: Instances, sigma: float) -> Floats:
    """The scores after matrix NMS with a Gaussian of `sigma`: float32 [N]; the instances are best first.

    The factor of an instance is the smallest one that a better instance of its class gives. That is
    exp(-sigma * iou ** 2) for the IoU of the two masks, divided by the same for the better instance and the
    one that overlaps it most among those above it.
    """
    count, height, width = found.mask_fields.shape
    inside = found.mask_fields > np.float32(found.mask_level)
    masks = inside.reshape(count, height * width).astype(np.float32)
    common, areas = masks @ masks.T, masks.sum(axis=1)
    better = np.triu(found.classes[:, None] == found.classes, 1)  # [N, N], the row is better than the column
    iou = np.where(better, common / np.maximum(areas[:, None] + areas - common, 1), 0)
    overlapped = iou.max(axis=0, initial=0)[:, None]  # of each better one with those above it
    factors = np.exp(sigma * (overlapped**2 - iou**2)).min(axis=0, initial=1)
    decayed: Floats = (found.scores * factors).astype(np.float32)
    return decayed


def _least_cells(decoder: KernelsDecoder) -> Ints:
    """The number of cells that a mask of each place must exceed: int64 [A]."""
    sides, cells = np.array(decoder.grids, np.int64).T
    return np.repeat(cells, sides**2)


def _sort(found: Instances) -> Instances:
    return found.keep(np.argsort(-found.scores, kind="stable"))


def _convolve(kernels: Floats, features: Floats) -> Floats:
    """The probabilities of the masks, float32 [N, h, w], of kernels [N, E] over features [E, h, w]."""
    count, height, width = features.shape
    return sigmoid(kernels @ features.reshape(count, -1)).reshape(len(kernels), height, width)

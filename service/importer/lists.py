"""Graphs that end with a list of instances: Mask R-CNN, exports of mmdeploy, SparseInst; and YOLACT."""

from dataclasses import replace

import numpy as np

from service.errors import InvalidOption
from service.importer.evidence import Evidence, Plan, label_dense, place_letterbox
from service.importer.graft import Preparation
from service.importer.labels import COCO_IDS, coco_labels, make_labels
from service.inference.card import Input, Label
from service.inference.families import BoxesMasksDecoder, MaskListDecoder, PrototypesDecoder
from service.types import Size

_COCO_CHANNELS = 91
_PICTURE = Size(256, 256)  # of the self-test, for graphs that resize pictures by themselves
_GRAPH_THRESHOLD = 0.05  # that is built into the graphs of torchvision, detectron2 and mmdeploy
_BACKGROUND = "__background__"
_SCORES = "blitzmask_scores"
_OPENMMLAB = "Apache-2.0 for OpenMMLab's own weights; your own weights are yours"
_LOW_SCORES = (
    "The graph leaves out low scores, usually those up to 0.05: a lower score_threshold finds nothing more."
)
# ImageNet's numbers for bytes, red, green, blue: mmdet does not divide by 255.
_BYTES = Preparation(scale=1.0, mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


def recognise_maskrcnn(evidence: Evidence) -> Plan | None:
    """Mask R-CNN of torchvision: boxes [n, 4], labels [n], scores [n], masks [n, 1, 28, 28].

    `probe.cut_pasting` has removed the pasting into the picture.
    """
    names = _find_list(evidence)
    if names is None or len(evidence.outputs) != 4:
        return None
    boxes, labels, scores, masks = names
    if _covers_canvas(evidence, masks):
        raise InvalidOption(
            "the graph pastes its masks into the picture in a way that is not known: export the model so "
            "that it gives masks of 28 x 28"
        )
    as_is = Input(height=_PICTURE.height, width=_PICTURE.width, fit="as_is")
    return Plan(
        title="Mask R-CNN of torchvision",
        input=as_is if evidence.any_size else place_letterbox(evidence.canvas, "top_left"),
        decoder=BoxesMasksDecoder(
            boxes=boxes,
            labels=labels,
            scores=scores,
            masks=masks,
            extent="pixels",
            score_threshold=_GRAPH_THRESHOLD,
        ),
        labels=_label_from_one(evidence),
        licence="BSD-3-Clause for torchvision's own weights; your own weights are yours",
        notes=("The graph leaves out scores up to 0.05: a lower score_threshold finds nothing more.",),
    )


def recognise_detectron2(evidence: Evidence) -> Plan | None:
    """Mask R-CNN of detectron2: as torchvision's, with the picture's size beside it and classes from 0."""
    names = _find_list(evidence)
    if names is None:
        return None
    if evidence.any_size:
        raise InvalidOption("detectron2 resizes pictures before the graph: give its size, as --size 800x1333")
    boxes, labels, scores, masks = names
    return Plan(
        title="Mask R-CNN of detectron2",
        input=place_letterbox(evidence.canvas, "top_left"),
        decoder=BoxesMasksDecoder(
            boxes=boxes,
            labels=labels,
            scores=scores,
            masks=masks,
            extent="box",
            score_threshold=_GRAPH_THRESHOLD,
        ),
        labels=label_dense(evidence, None),
        preparation=Preparation(order="BGR", scale=1.0),
        notes=("detectron2 resizes with averaging, and pads inside the graph: scores differ a little.",),
    )


def _find_list(evidence: Evidence) -> tuple[str, str, str, str] | None:
    """The names of boxes [n, 4], labels [n], scores [n] and masks [n, 1, h, w]; None where one is missing."""
    boxes = [name for name in evidence.pick(2) if evidence.shape(name)[1] == 4]
    masks = [name for name in evidence.pick(4) if evidence.shape(name)[1] == 1]
    labels = evidence.pick_whole(1)
    scores = [name for name in evidence.pick(1) if name not in labels]
    labels = [name for name in labels if "size" not in name]
    if not len(boxes) == len(masks) == len(labels) == len(scores) == 1:
        return None
    counts = {evidence.shape(name)[0] for name in (*boxes, *labels, *scores, *masks)}
    return (boxes[0], labels[0], scores[0], masks[0]) if len(counts) == 1 else None


def _label_from_one(evidence: Evidence) -> tuple[Label, ...]:
    """Labels of a network whose class 0 is the background; COCO's where it has COCO's 91 classes."""
    channels = _count_channels(evidence)
    names = evidence.names
    if names is not None and (names.get(0) == _BACKGROUND or len(names) == channels):
        # torchvision's list, which names the background and the gaps in COCO's numbers, too
        return make_labels({number: name for number, name in names.items() if number and name != "N/A"})
    if channels in (None, _COCO_CHANNELS) and names is not None and len(names) == len(COCO_IDS):
        return coco_labels(names)
    if channels == _COCO_CHANNELS and names is None:
        return coco_labels(None)
    return label_dense(evidence, None if channels is None else channels - 1, first=1)


def _count_channels(evidence: Evidence) -> int | None:
    """The number of classes with the background, from the weights of Mask R-CNN's two last layers for boxes.

    The one gives C scores, the other 4 C coordinates, both from the same K features.
    """
    shapes = {tuple(each.dims) for each in evidence.graph.content.graph.initializer if len(each.dims) == 2}
    both = shapes | {shape[::-1] for shape in shapes}
    found = {rows for rows, features in both if rows < features and (4 * rows, features) in both}
    return found.pop() if len(found) == 1 else None


def recognise_rtmdet(evidence: Evidence) -> Plan | None:
    """RTMDet-Ins by mmdeploy: dets [1, n, 5] with the scores last, labels [1, n], masks over the canvas."""
    found = _find_dets(evidence)
    if found is None or not _covers_canvas(evidence, found[2]) or _has_no_boxes(evidence, found[0]):
        return None
    return _plan_mmdeploy(evidence, found, "RTMDet-Ins by mmdeploy", replace(_BYTES, order="BGR"))


def recognise_mmdet(evidence: Evidence) -> Plan | None:
    """Other networks by mmdeploy, such as Mask R-CNN or CondInst: as RTMDet-Ins, but red, green, blue."""
    found = _find_dets(evidence)
    if found is None:
        return None
    if _has_no_boxes(evidence, found[0]):
        return _plan_boxless(evidence, found)
    return _plan_mmdeploy(evidence, found, "mmdet's network by mmdeploy", _BYTES)


def _covers_canvas(evidence: Evidence, masks: str) -> bool:
    """True for masks over the canvas, as large as it; false for those of boxes, usually 28 x 28."""
    return evidence.shape(masks)[-2:] == (evidence.canvas.height, evidence.canvas.width)


def _has_no_boxes(evidence: Evidence, dets: str) -> bool:
    """True where all boxes are zeros, as SOLOv2's."""
    values = evidence.outputs[dets]
    return bool(values.size) and not values[..., :4].any()


def _plan_mmdeploy(
    evidence: Evidence, found: tuple[str, str, str], title: str, preparation: Preparation
) -> Plan:
    dets, labels, masks = found
    return Plan(
        title=title,
        input=place_letterbox(evidence.canvas, "top_left"),
        decoder=BoxesMasksDecoder(
            boxes=dets,
            labels=labels,
            scores=None,
            masks=masks,
            extent="canvas" if _covers_canvas(evidence, masks) else "box",
            score_threshold=_GRAPH_THRESHOLD,
        ),
        labels=label_dense(evidence, None),
        preparation=preparation,
        licence=_OPENMMLAB,
        notes=(_LOW_SCORES,),
    )


def _plan_boxless(evidence: Evidence, found: tuple[str, str, str]) -> Plan:
    """SOLOv2, for which the service makes boxes of the masks."""
    dets, labels, masks = found
    return Plan(
        title="SOLOv2 by mmdeploy",
        input=place_letterbox(evidence.canvas, "top_left"),
        decoder=MaskListDecoder(labels=labels, scores=_SCORES, masks=masks, score_threshold=_GRAPH_THRESHOLD),
        labels=label_dense(evidence, None),
        preparation=_BYTES,
        licence=_OPENMMLAB,
        notes=(_LOW_SCORES,),
        columns={_SCORES: (dets, 4)},
    )


def _find_dets(evidence: Evidence) -> tuple[str, str, str] | None:
    """The names of dets [1, n, 5], labels [1, n] and masks [1, n, h, w]; None where one is missing."""
    dets = [name for name in evidence.pick(3) if evidence.shape(name)[2] == 5]
    labels, masks = evidence.pick_whole(2), evidence.pick(4)
    if len(evidence.outputs) != 3 or not len(dets) == len(labels) == len(masks) == 1:
        return None
    counts = {evidence.shape(name)[1] for name in (*dets, *labels, *masks)}
    return (dets[0], labels[0], masks[0]) if len(counts) == 1 else None


def recognise_sparseinst(evidence: Evidence) -> Plan | None:
    """SparseInst, and other lists without boxes: labels [1, n], scores [1, n], masks [1, n, h, w]."""
    labels, masks = evidence.pick_whole(2), evidence.pick(4)
    scores = [name for name in evidence.pick(2) if name not in labels]
    if len(evidence.outputs) != 3 or not len(labels) == len(scores) == len(masks) == 1:
        return None
    if len({evidence.shape(name)[1] for name in (*labels, *scores, *masks)}) != 1:
        return None
    canvas = evidence.canvas
    return Plan(
        title="SparseInst",
        input=Input(height=canvas.height, width=canvas.width, fit="stretch", interpolation="linear"),
        decoder=MaskListDecoder(labels=labels[0], scores=scores[0], masks=masks[0], score_threshold=0.4),
        labels=label_dense(evidence, None),
        preparation=Preparation(scale=1.0),
    )


def recognise_yolact(evidence: Evidence) -> Plan | None:
    """YOLACT: offsets [1, A, 4], class probabilities, coefficients, prior boxes [A, 4] and prototypes."""
    grids = evidence.pick(4)
    tables = {name: evidence.shape(name)[-2:] for name in (*evidence.pick(3), *evidence.pick(2))}
    if len(evidence.outputs) != 5 or len(grids) != 1 or len({places for places, _ in tables.values()}) != 1:
        return None
    count = evidence.shape(grids[0])[3]
    scores = [name for name in tables if np.allclose(evidence.outputs[name].sum(axis=-1), 1, atol=1e-3)]
    fours = sorted((name for name in tables if tables[name][1] == 4), key=lambda name: "prior" in name)
    fours = [name for name in fours if name not in scores]
    weights = [name for name in tables if tables[name][1] == count and name not in scores]
    if len(fours) != 2 or not len(weights) == len(scores) == 1:
        return None
    canvas = evidence.canvas
    return Plan(
        title="YOLACT with raw heads",
        input=Input(height=canvas.height, width=canvas.width, fit="stretch", interpolation="linear"),
        decoder=PrototypesDecoder(
            offsets=fours[0],
            scores=scores[0],
            weights=weights[0],
            priors=fours[1],
            prototypes=grids[0],
            coefficients=count,
            score_threshold=0.15,
        ),
        labels=label_dense(evidence, tables[scores[0]][1] - 1, first=1),
        unbatched=tuple(name for name in tables if len(evidence.shape(name)) == 2),
        preparation=Preparation(scale=1.0, mean=(123.68, 116.78, 103.94), std=(58.4, 57.12, 57.38)),
    )

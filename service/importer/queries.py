"""Transformers with a fixed number of queries, and networks with dynamic kernels."""

from service.errors import InvalidOption
from service.importer.evidence import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Evidence,
    Plan,
    label_dense,
    place_letterbox,
)
from service.importer.graft import Preparation
from service.importer.labels import COCO_IDS, coco_labels
from service.inference.card import Input, Label
from service.inference.families import KernelsDecoder, QueriesDecoder

_COCO_SLOTS = 91  # COCO's category ids, with 0
_MASK2FORMER_SIDE = 384  # to which its own tool resizes every mask before it rates it


def recognise_rfdetr(evidence: Evidence) -> Plan | None:
    """RF-DETR-Seg: boxes [1, Q, 4], class logits [1, Q, C] and mask logits [1, Q, h, w]."""
    tables, grids = evidence.pick(3), evidence.pick(4)
    if len(evidence.outputs) != 3 or len(tables) != 2 or len(grids) != 1:
        return None
    boxes, scores = sorted(tables, key=lambda name: (evidence.shape(name)[2] != 4, "label" in name))
    queries = evidence.shape(grids[0])[1]
    if evidence.shape(boxes)[1:] != (queries, 4) or evidence.shape(scores)[1] != queries:
        return None
    labels, has_background = _label_slots(evidence, evidence.shape(scores)[2])
    return Plan(
        title="RF-DETR-Seg",
        input=_stretch(evidence, "linear"),
        decoder=QueriesDecoder(
            scores=scores,
            boxes=boxes,
            masks=grids[0],
            activation="sigmoid",
            background="last" if has_background else "none",
            score_threshold=0.5,
            max_instances=queries,
        ),
        labels=labels,
        preparation=Preparation(mean=IMAGENET_MEAN, std=IMAGENET_STD),
        licence="Apache-2.0 for the models that Roboflow names so; your own weights are yours",
        notes=(
            "RF-DETR resizes floating-point numbers, the service resizes bytes: scores differ by up to about "
            "0.02. RF-DETR does not turn a photo by its EXIF orientation, the service does.",
        ),
    )


def _label_slots(evidence: Evidence, slots: int) -> tuple[tuple[Label, ...], bool]:
    """Labels of RF-DETR's class slots, and if the last slot is the background.

    The models trained on COCO have a slot for each category id up to 90. Fine-tuned ones have one for each
    class, and a last one for the background.
    """
    names = evidence.names
    if slots == _COCO_SLOTS and (names is None or len(names) == len(COCO_IDS)):
        return coco_labels(names), False
    if names is not None and len(names) == slots:
        return label_dense(evidence, slots), False
    return label_dense(evidence, slots - 1), True


def recognise_mask2former(evidence: Evidence) -> Plan | None:
    """Mask2Former of transformers: class logits [1, Q, C + 1] with the background last, mask logits."""
    tables, grids = evidence.pick(3), evidence.pick(4)
    if len(evidence.outputs) != 2 or len(tables) != 1 or len(grids) != 1:
        return None
    (scores,), (masks,) = tables, grids
    _, queries, slots = evidence.shape(scores)
    if evidence.shape(masks)[1] != queries or "class_queries" not in scores:
        return None
    return Plan(
        title="Mask2Former of transformers",
        input=_stretch(evidence, "area"),
        decoder=QueriesDecoder(
            scores=scores,
            boxes=None,
            masks=masks,
            activation="softmax",
            background="last",
            maskness=True,
            maskness_side=_MASK2FORMER_SIDE,
            score_threshold=0.5,
            comparison=">=",
            max_instances=queries,
        ),
        labels=label_dense(evidence, slots - 1),
        preparation=Preparation(mean=IMAGENET_MEAN, std=IMAGENET_STD),
        notes=("Its own tool resizes pictures by another rule: scores differ by up to about 0.015.",),
    )


def recognise_kernels(evidence: Evidence) -> Plan | None:
    """SOLOv2 before its matrix NMS: class scores [1, A, C], kernels [1, A, E], features [1, E, h, w]."""
    tables, grids = evidence.pick(3), evidence.pick(4)
    if len(evidence.outputs) != 3 or len(tables) != 2 or len(grids) != 1:
        return None
    (features,) = grids
    channels = evidence.shape(features)[1]
    scores, kernels = sorted(tables, key=lambda name: evidence.shape(name)[2] == channels)
    places, classes = evidence.shape(scores)[1:]
    if evidence.shape(kernels)[1:] != (places, channels):
        return None
    decoder = KernelsDecoder(scores=scores, kernels=kernels, features=features, channels=channels)
    if places != sum(side**2 for side, _ in decoder.grids):
        sides = ", ".join(str(side) for side, _ in decoder.grids)
        raise InvalidOption(
            f"the graph has {places} places, not those of SOLOv2's grids of {sides}: export it with these"
        )
    return Plan(
        title="SOLOv2 with raw heads",
        input=place_letterbox(evidence.canvas, "top_left"),
        decoder=decoder,
        labels=label_dense(evidence, classes),
        preparation=Preparation(mean=IMAGENET_MEAN, std=IMAGENET_STD),
    )


def _stretch(evidence: Evidence, interpolation: str) -> Input:
    """The picture over the whole canvas, whatever its aspect is."""
    canvas = evidence.canvas
    return Input.model_validate(
        {"height": canvas.height, "width": canvas.width, "fit": "stretch", "interpolation": interpolation}
    )

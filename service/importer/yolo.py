"""Ultralytics' and YOLOv5's segmentation models: boxes, scores, coefficients and prototypes."""

from dataclasses import dataclass
from typing import Any, Literal

from service.importer.evidence import Evidence, Plan, label_dense, place_letterbox
from service.inference.families import RowsDecoder, YoloDecoder
from service.types import Size

_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32))  # of the usual heads, of those for P6 and P2
_NORMALISED = 2.0  # boxes in parts of the canvas stay below it, boxes in pixels do not
_LICENCE = "AGPL-3.0, or that of an enterprise contract with Ultralytics, as for all weights of its tools"


@dataclass(frozen=True, slots=True)
class _Prototypes:
    """The two outputs of a family with prototypes; table: the one with boxes, scores and coefficients."""

    table: str
    prototypes: str
    count: int
    last: bool


def _find_prototypes(evidence: Evidence) -> _Prototypes | None:
    tables, grids = evidence.pick(3), evidence.pick(4)
    if len(evidence.outputs) != 2 or len(tables) != 1 or len(grids) != 1:
        return None
    _, *shape = evidence.outputs[grids[0]].shape
    cells = [evidence.canvas.height // 4, evidence.canvas.width // 4]
    if shape[1:] == cells:
        return _Prototypes(tables[0], grids[0], shape[0], last=False)
    if shape[:2] == cells:
        return _Prototypes(tables[0], grids[0], shape[2], last=True)
    return None


def _count_cells(canvas: Size) -> tuple[int, ...]:
    """The numbers of cells that the known heads have on a canvas.

    >>> _count_cells(Size(640, 640))
    (8400, 8500, 34000)
    """
    return tuple(
        sum(-(-canvas.height // stride) * -(-canvas.width // stride) for stride in strides)
        for strides in _STRIDES
    )


def recognise_yolo(evidence: Evidence) -> Plan | None:
    """Ultralytics' YOLOv8, 11, 12 and 26 without NMS: a prediction for each cell."""
    return _recognise_anchors(evidence, per_cell=1)


def recognise_yolov5(evidence: Evidence) -> Plan | None:
    """YOLOv5-seg: three predictions for each cell, and an objectness."""
    return _recognise_anchors(evidence, per_cell=3)


def _recognise_anchors(evidence: Evidence, *, per_cell: Literal[1, 3]) -> Plan | None:
    found = _find_prototypes(evidence)
    if found is None:
        return None
    table = evidence.outputs[found.table][0]
    anchors = [per_cell * cells for cells in _count_cells(evidence.canvas)]
    if table.shape[1] in anchors:
        anchors_last = True
    elif table.shape[0] in anchors:
        anchors_last, table = False, table.T
    else:
        return None
    objectness = per_cell == 3
    classes = len(table) - 4 - objectness - found.count
    if classes < 1:
        return None
    shared = _describe_prototypes(evidence, found, float(table[:2].max()))
    decoder = YoloDecoder(
        **shared,
        objectness=objectness,
        anchors_last=anchors_last,
        crop="cells" if objectness else "pixels",
        overlap=0.45 if objectness else 0.7,
        max_instances=1000 if objectness else 300,
    )
    return Plan(
        title="YOLOv5-seg" if objectness else "Ultralytics -seg, NMS outside of the graph",
        input=place_letterbox(evidence.canvas, "centre"),
        decoder=decoder,
        labels=label_dense(evidence, classes),
        licence=_LICENCE,
    )


def recognise_rows(evidence: Evidence) -> Plan | None:
    """Ultralytics' models with NMS in the graph, or end-to-end without any: a list of final rows."""
    found = _find_prototypes(evidence)
    if found is None or evidence.outputs[found.table].shape[2] != 6 + found.count:
        return None
    rows = evidence.outputs[found.table][0]
    largest = float(rows[rows[:, 4] > 0, :4].max(initial=0))
    known = largest > 0
    if not known:  # without a row the boxes have no unit to see: TFLite and ONNX end-to-end files have pixels
        largest = float(max(evidence.canvas.height, evidence.canvas.width))
    decoder = RowsDecoder(**_describe_prototypes(evidence, found, largest), max_instances=len(rows))
    return Plan(
        title="Ultralytics -seg, final rows (NMS in the graph, or end-to-end)",
        input=place_letterbox(evidence.canvas, "centre"),
        decoder=decoder,
        labels=label_dense(evidence, None),
        licence=_LICENCE,
        notes=(
            "A file that was exported with nms=True leaves out scores below the threshold of its export: a "
            "lower score_threshold finds nothing more.",
        ),
    )


def _describe_prototypes(evidence: Evidence, found: _Prototypes, largest: float) -> dict[str, Any]:
    """The decoder's fields that the two families with prototypes share; largest: of the boxes' numbers."""
    return {
        "predictions": found.table,
        "prototypes": found.prototypes,
        "prototypes_last": found.last,
        "coefficients": found.count,
        "normalised": largest <= _NORMALISED,
        "score_threshold": 0.25,
        "comparison": ">",
    }

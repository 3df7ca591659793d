"""The families that an import recognises, by the shapes of their outputs.

To add a family, write a function that makes a plan of evidence, or None where the shapes are not those of the
family, and add it to FAMILIES. docs/models.md lists the facts about each.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from service.errors import InvalidOption
from service.importer import lists, queries, yolo
from service.importer.evidence import Evidence, Plan

Recognise: TypeAlias = Callable[[Evidence], Plan | None]

FAMILIES: Mapping[str, Recognise] = MappingProxyType(
    {  # in the order in which they are tried: several have the shapes of a later one
        "yolo": yolo.recognise_yolo,
        "yolov5": yolo.recognise_yolov5,
        "rows": yolo.recognise_rows,
        "rfdetr": queries.recognise_rfdetr,
        "mask2former": queries.recognise_mask2former,
        "maskrcnn": lists.recognise_maskrcnn,
        "detectron2": lists.recognise_detectron2,
        "rtmdet": lists.recognise_rtmdet,
        "mmdet": lists.recognise_mmdet,
        "sparseinst": lists.recognise_sparseinst,
        "yolact": lists.recognise_yolact,
        "kernels": queries.recognise_kernels,
    }
)


def recognise(evidence: Evidence, family: str | None) -> Plan:
    """The plan of the family asked for, else of the first that the outputs fit.

    Raises InvalidOption where none fits, and says why, and which export fits.
    """
    asked = FAMILIES if family is None else {family: FAMILIES[family]}
    for read in asked.values():
        if (plan := read(evidence)) is not None:
            return plan
    raise InvalidOption(_explain_stranger(evidence, family))


def _explain_stranger(evidence: Evidence, family: str | None) -> str:
    shapes = ", ".join(f"{name} {list(values.shape)}" for name, values in evidence.outputs.items())
    if family is not None:
        return (
            f"the outputs are not those of the family {family}: {shapes}; leave --family out, or name another"
        )
    if not evidence.pick(4):
        return (
            f"the graph has no masks ({shapes}), so it only detects boxes: export an instance-segmentation "
            "model, for Ultralytics one whose name ends with -seg"
        )
    return (
        f"the meaning of the outputs is not known ({shapes}): export the model with its own tool as "
        "docs/models.md says, or name its --family"
    )

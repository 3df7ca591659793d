"""Answers as COCO results, whichever transport they came over."""

import json
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from loadtest.clients.oip import Reply, read_document, read_message
from loadtest.targets import Form
from service.rpc.generated import segmentation_pb2 as messages

Detection: TypeAlias = dict[str, Any]


def read_detections(form: Form, body: bytes) -> Iterator[Detection]:
    """label, score, bbox [x, y, width, height] and segmentation of every instance in a good answer."""
    return _READERS[form](body)


def _read_json(body: bytes) -> Iterator[Detection]:
    for instance in json.loads(body)["instances"]:
        yield {name: instance[name] for name in ("label", "score", "bbox", "segmentation")}


def _read_message(body: bytes) -> Iterator[Detection]:
    for instance in messages.SegmentResponse.FromString(body).instances:
        rle = instance.rle
        yield {
            "label": instance.label,
            "score": instance.score,
            "bbox": list(instance.bbox),
            "segmentation": {"size": list(rle.size), "counts": rle.counts},
        }


def _read_tensors(reply: Reply) -> Iterator[Detection]:
    tensors = reply.tensors
    boxes = np.array(tensors["boxes"], np.float64).reshape(-1, 4).tolist()
    columns = zip(tensors["labels"], tensors["scores"], boxes, tensors["rles"], strict=True)
    for label, score, bbox, counts in columns:
        rle = {"size": list(tensors["image_size"]), "counts": counts}
        yield {"label": label, "score": score, "bbox": bbox, "segmentation": rle}


_READERS: Mapping[Form, Callable[[bytes], Iterator[Detection]]] = MappingProxyType(
    {
        ("native", "rest"): _read_json,
        ("native", "grpc"): _read_message,
        ("oip", "rest"): lambda body: _read_tensors(read_document(body)),
        ("oip", "grpc"): lambda body: _read_tensors(read_message(body)),
    }
)

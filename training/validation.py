"""Validation during training: a network on part of the val split, and the end of a run that stops improving.

The network answers through the service's own code, without an export.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from service.inference.card import ArtifactFile, Label
from service.inference.images import Limits
from service.inference.segmenter import Segmenter
from service.types import BackendInfo, Heads, Pixels, Size
from training.data.datasets import EvaluationSet
from training.evaluation.evaluate import Evaluation, detect, evaluate_detections
from training.export.model_folder import ModelInfo, describe_model
from training.networks.families import Network
from training.run_log import MeanPrecision

IN_MEMORY = ArtifactFile(path="memory", runtime="onnx", precision="fp32", sha256="0" * 64, bytes=1)


@dataclass(frozen=True, slots=True)
class Validation:
    """every: epochs between two validations. pictures: at most so many, spread over the val split.

    patience: the run ends after so many validations without improvement, and keeps its best weights. None: it
    runs to its end and keeps its last weights.
    """

    every: int = 1
    pictures: int = 500
    patience: int | None = None

    def is_due(self, epoch: int) -> bool:
        """True if a validation follows epoch number `epoch`, counted from 0."""
        return (epoch + 1) % self.every == 0


@dataclass(frozen=True, slots=True)
class EarlyStopping:
    """best: the highest score so far, of epoch number `epoch`. stale: validations since then.

    >>> state = EarlyStopping().after(0.3, epoch=0).after(0.2, epoch=1)
    >>> state.best, state.epoch, state.stale
    (0.3, 0, 1)
    """

    best: float = -1.0
    epoch: int = -1
    stale: int = 0

    def after(self, score: float, *, epoch: int) -> "EarlyStopping":
        """The state after a validation; NaN, the score of a set without objects, is no improvement."""
        if score > self.best:
            return EarlyStopping(score, epoch)
        return replace(self, stale=self.stale + 1)

    def is_out_of_patience(self, validation: Validation | None) -> bool:
        if validation is None or validation.patience is None:
            return False
        return self.stale >= validation.patience


class NetworkBackend:
    """A PyTorch network as a backend of the service."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.device = next(network.parameters()).device

    @torch.no_grad()
    def run(self, pixels: Pixels, *, crowded: bool = False) -> Heads:
        heads = self.network(torch.from_numpy(np.ascontiguousarray(pixels)).to(self.device))
        return {name: head.cpu().numpy() for name, head in heads.items()}

    def describe(self, *, crowded: bool = False) -> BackendInfo:
        device = str(self.device)
        return BackendInfo("torch", torch.__version__, "fp32", torch.get_num_threads(), (device,), (device,))

    def close(self) -> None:
        pass


def open_network(network: Network, labels: Sequence[Label], canvas: Size) -> Segmenter:
    """The service's segmenter with this network; sets the network to evaluation mode."""
    info = ModelInfo("in-training", "0", "Not exported.", tuple(labels), canvas)
    return Segmenter(describe_model(network.eval(), info, (IN_MEMORY,)), NetworkBackend(network), Limits())


class Evaluator:
    """Evaluates networks on up to `pictures` of a set; detections: the last ones, in COCO's result format."""

    def __init__(self, data: EvaluationSet, labels: Sequence[Label], canvas: Size, *, pictures: int) -> None:
        self.data = EvaluationSet(pick_pictures(data.content, pictures), data.images, data.origin)
        self.labels = labels
        self.canvas = canvas
        self.detections: list[dict[str, Any]] = []

    def measure(self, network: Network) -> MeanPrecision:
        found = self.evaluate(network)
        return MeanPrecision(found.masks.ap, found.masks.ap50, found.boxes.ap, found.boxes.ap50)

    def evaluate(self, network: Network) -> Evaluation:
        segmenter = open_network(network, self.labels, self.canvas)
        found = detect(segmenter, self.data.content, self.data.images)
        self.detections = [item for items in found for item in items]
        return evaluate_detections(self.data.content, self.detections)


def pick_pictures(content: Mapping[str, Any], count: int) -> dict[str, Any]:
    """At most `count` of a COCO file's pictures, evenly spread, with their annotations."""
    step = max(1, -(-len(content["images"]) // count))
    images = content["images"][::step]
    ids = {entry["id"] for entry in images}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": objects}

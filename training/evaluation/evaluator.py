"""How good a network is in the middle of its training: by the service's own path, without an export."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from service.inference.card import ArtifactFile, Label
from service.inference.images import Limits
from service.inference.segmenter import Segmenter
from service.types import BackendInfo, Heads, Pixels, Size
from training.data.datasets import Exam
from training.evaluation.evaluate import Verdict, detect, judge
from training.export.model_folder import Title, describe_model
from training.networks.blitzmask import BlitzMask
from training.run_log import Means

IN_MEMORY = ArtifactFile(path="memory", runtime="onnx", precision="fp32", sha256="0" * 64, bytes=1)


class NetworkBackend:
    """A network of PyTorch as a backend of the service."""

    def __init__(self, network: BlitzMask) -> None:
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


def open_network(network: BlitzMask, labels: Sequence[Label], canvas: Size) -> Segmenter:
    """A network as the service would answer with it; sets it to evaluation."""
    title = Title("in-training", "0", "Not exported.", tuple(labels), canvas)
    return Segmenter(describe_model(network.eval(), title, (IN_MEMORY,)), NetworkBackend(network), Limits())


class Examiner:
    """Judges networks by an exam; `detections` are what the last one found, as in COCO's results file."""

    def __init__(self, exam: Exam, labels: Sequence[Label], canvas: Size, *, pictures: int) -> None:
        self.exam = Exam(pick_pictures(exam.content, pictures), exam.images, exam.origin)
        self.labels = labels
        self.canvas = canvas
        self.detections: list[dict[str, Any]] = []

    def mark(self, network: BlitzMask) -> Means:
        verdict = self.judge(network)
        return Means(verdict.masks.ap, verdict.masks.ap50, verdict.boxes.ap, verdict.boxes.ap50)

    def judge(self, network: BlitzMask) -> Verdict:
        segmenter = open_network(network, self.labels, self.canvas)
        found = detect(segmenter, self.exam.content, self.exam.images)
        self.detections = [item for items in found for item in items]
        return judge(self.exam.content, self.detections)


def pick_pictures(content: Mapping[str, Any], count: int) -> dict[str, Any]:
    """So many of a COCO file's pictures, at most, evenly from all over it, with their annotations."""
    step = max(1, -(-len(content["images"]) // count))
    images = content["images"][::step]
    ids = {entry["id"] for entry in images}
    objects = [item for item in content["annotations"] if item["image_id"] in ids]
    return {**content, "images": images, "annotations": objects}

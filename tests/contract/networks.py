"""Small networks of `training` with random weights: their model folders, and their answers by PyTorch.

The answers follow the post-processing of each paper's own code. No function of the service takes part in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from service.inference.card import Label
from service.types import Pixels, Size
from training.export.model_folder import EXPORTERS, ModelInfo, export_model
from training.networks.backbones import V2_ROWS, Backbone, round_channels, stack_rows
from training.networks.csr import CsrArchitecture
from training.networks.families import AnyArchitecture, Network, build_network
from training.networks.resnet import resnet
from training.networks.yolact import YolactArchitecture
from training.session import hidden_export_messages

CANVAS = Size(64, 96)
LABELS = (Label(category_id=7, name="rose"), Label(category_id=3, name="tulip"))
ARCHITECTURES: Mapping[str, AnyArchitecture] = {
    "yolact": YolactArchitecture(2, width=0.125, neck_channels=16, prototypes=8),
    "mobile_yolact": YolactArchitecture(
        2, backbone="mobilenet_v2", width=0.35, neck_channels=16, prototypes=8, separable=True
    ),
    "csr_d2s": CsrArchitecture(2, width=0.125, csr_channels=16, channels=32, kernels=20),
}
SHALLOW: Mapping[str, Callable[[float], Backbone]] = {  # one block a stride, because each costs export time
    "resnet50": partial(resnet, repeats=(1, 1, 1, 1)),
    "mobilenet_v2": lambda width: stack_rows(
        [replace(row, channels=round_channels(row.channels * width), repeats=1) for row in V2_ROWS],
        stem=round_channels(32 * width),
    ),
}
LOGITS = {
    "yolact": ("conf", "heads.conf"),
    "mobile_yolact": ("conf", "heads.conf.1"),
    "csr_d2s": ("scores", "stage.classify.1"),
}
SPREAD = 3.0  # the standard deviation of the class logits, so that scores differ and none is exactly 0 or 1


@dataclass(frozen=True, slots=True)
class Found:
    """An instance: a channel of the labels, its score, and its mask, bool [H, W]."""

    channel: int
    score: float
    mask: Tensor


def draw_network(name: str) -> Network:
    """The network with the same random weights in every process, whose scores differ from place to place."""
    architecture = ARCHITECTURES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = build_network(architecture)
        network.backbone = SHALLOW[architecture.backbone](architecture.width)
        pixels = torch.randint(0, 256, (4, CANVAS.height, CANVAS.width, 3), dtype=torch.uint8)
    head, layer = LOGITS[name]
    with torch.no_grad():
        for _ in range(20):  # the statistics of the normalisations
            logits = network(pixels)[head]
        network.get_parameter(f"{layer}.weight").mul_(SPREAD / logits.std())
        network.get_parameter(f"{layer}.bias").zero_()
    return network.eval()


def write_network(folder: Path, name: str) -> Path:
    """The folder, with the network's ONNX file and its card."""
    info = ModelInfo(name, "1.0.0", "Random weights.", LABELS, CANVAS)
    with hidden_export_messages():
        export_model(draw_network(name), info, folder, exporters={"onnx": EXPORTERS["onnx"]})
    return folder


@torch.no_grad()
def answer_by_pytorch(name: str, pixels: Pixels, threshold: float) -> list[Found]:
    """The instances in uint8 [H, W, 3] of the canvas's size, best first."""
    heads = {head: values[0] for head, values in draw_network(name)(torch.from_numpy(pixels)[None]).items()}
    return _ANSWERS[ARCHITECTURES[name].network](heads, threshold)


def answer_as_yolact(heads: Mapping[str, Tensor], threshold: float) -> list[Found]:
    """`layers/functions/detection.py` and `layers/output_utils.py` of the authors, with their defaults."""
    scores = heads["conf"][:, 1:].T  # [C, A]
    candidates = scores.amax(dim=0) > 0.05
    scores, priors, moves = scores[:, candidates], heads["priors"][candidates], heads["loc"][candidates]
    centres = priors[:, :2] + moves[:, :2] * 0.1 * priors[:, 2:]
    sizes = priors[:, 2:] * (moves[:, 2:] * 0.2).exp()
    boxes = torch.cat([centres - sizes / 2, centres + sizes / 2], dim=1)
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    scores, order = scores[:, :200], order[:, :200]
    overlaps = pair_ious(boxes[order]).triu(diagonal=1)
    kept = (overlaps.amax(dim=1) <= 0.5) & (scores > threshold)
    channels, places = kept.nonzero(as_tuple=True)
    scores, anchors = scores[kept], order[channels, places]
    best = scores.argsort(descending=True, stable=True)[:100]
    coefficients = heads["mask"][candidates][anchors[best]]
    fields = torch.einsum("hwk,nk->nhw", heads["proto"], coefficients).sigmoid()
    masks = enlarge(fields * crop_cells(boxes[anchors[best]], fields.shape[1:]), CANVAS) > 0.5
    clipped = boxes[anchors[best]].clamp(0, 1)
    visible = (clipped[:, :2] < clipped[:, 2:]).all(dim=1)  # the service has no others
    parts = (channels[best][visible], scores[best][visible], masks[visible])
    return [Found(int(channel), float(score), mask) for channel, score, mask in zip(*parts, strict=True)]


def pair_ious(boxes: Tensor) -> Tensor:
    """The IoU of each pair of a class: float [C, N, N] of [C, N, 4]."""
    low = torch.maximum(boxes[:, :, None, :2], boxes[:, None, :, :2])
    high = torch.minimum(boxes[:, :, None, 2:], boxes[:, None, :, 2:])
    common = (high - low).clamp(min=0).prod(dim=3)
    areas = (boxes[:, :, 2:] - boxes[:, :, :2]).prod(dim=2)
    return common / (areas[:, :, None] + areas[:, None] - common)


def crop_cells(boxes: Tensor, size: Any) -> Tensor:
    """1 for the cells of each box and one around it, else 0: float [N, h, w]."""
    height, width = size
    x, y = torch.arange(width), torch.arange(height)
    left, top, right, bottom = (boxes * boxes.new_tensor([width, height, width, height])).T[:, :, None]
    columns = (x >= (left - 1).clamp(min=0)) & (x < (right + 1).clamp(max=width))
    rows = (y >= (top - 1).clamp(min=0)) & (y < (bottom + 1).clamp(max=height))
    inside: Tensor = rows[:, :, None] & columns[:, None]
    return inside.float()


def answer_as_csr(heads: Mapping[str, Tensor], threshold: float) -> list[Found]:
    """K-Net's `get_seg_masks`: the best pairs of a query and a class, and the masks enlarged as logits."""
    scores = heads["scores"].sigmoid()
    best, order = scores.flatten().sort(descending=True, stable=True)
    best = best[:100][best[:100] >= threshold]
    queries, channels = order[: len(best)] // scores.shape[1], order[: len(best)] % scores.shape[1]
    masks = enlarge(heads["masks"][queries], CANVAS) > 0
    found = [Found(*each) for each in zip(channels.tolist(), best.tolist(), masks, strict=True)]
    return [each for each in found if each.mask.any()]


def enlarge(fields: Tensor, size: Size) -> Tensor:
    shape = (size.height, size.width)
    return F.interpolate(fields[None], shape, mode="bilinear", align_corners=False)[0]


_ANSWERS: Mapping[str, Callable[[Mapping[str, Tensor], float], list[Found]]] = {
    "yolact": answer_as_yolact,
    "csr": answer_as_csr,
}

"""A backbone with folded weights computes the same as those weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from training.networks.backbones import mobilenet_v2
from training.networks.folded import load_folded_backbone
from training.networks.layers import Convolution

WIDTH = 0.35


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Random folded weights of a narrow MobileNetV2, named as in the real archive."""
    random = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, layer in mobilenet_v2(WIDTH).named_modules():
        if isinstance(layer, Convolution):
            _, number, *part = name.split(".")
            key = f"block{int(number):02d}.{part[0]}" if part else "stem"
            shape = tuple(layer.conv.weight.shape)
            arrays[f"{key}.weight"] = random.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32)
            arrays[f"{key}.bias"] = random.normal(0, 0.3, shape[0]).astype(np.float32)
    np.savez(tmp_path / "folded.npz", **arrays)
    return tmp_path / "folded.npz"


def draw_pixels() -> Tensor:
    return torch.randint(
        0, 256, (4, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


def run_folded(archive: Path, pixels: Tensor) -> Tensor:
    """C5 by plain convolutions with biases: the network as the archive has it."""
    with np.load(archive) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files}

    def convolve(features: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = arrays[f"{name}.weight"]
        if stride == 2:
            return F.conv2d(
                F.pad(features, (0, 1, 0, 1)), weight, arrays[f"{name}.bias"], 2, 0, groups=groups
            )
        padding = weight.shape[-1] // 2
        return F.conv2d(features, weight, arrays[f"{name}.bias"], 1, padding, groups=groups)

    features = convolve(pixels.permute(0, 3, 1, 2) / 127.5 - 1, "stem", stride=2).clamp(0, 6)
    for number in range(1, 18):
        name, before = f"block{number:02d}", features
        if f"{name}.expand.weight" in arrays:
            features = convolve(features, f"{name}.expand").clamp(0, 6)
        stride = 2 if number in (2, 4, 7, 14) else 1
        features = convolve(features, f"{name}.depthwise", stride, features.shape[1]).clamp(0, 6)
        features = convolve(features, f"{name}.project")
        if features.shape == before.shape:
            features = features + before
    return features


@pytest.mark.parametrize("training", [False, True])
def test_the_function_is_kept_in_both_modes(archive: Path, training: bool) -> None:
    """In training mode the statistics are the batch's, which here is the one they were set from."""
    pixels, backbone = draw_pixels(), mobilenet_v2(WIDTH)
    load_folded_backbone(backbone, archive, pixels)
    backbone.train(training)
    with torch.no_grad():
        found = backbone(pixels.permute(0, 3, 1, 2) / 127.5 - 1)[-1]
    expected = run_folded(archive, pixels)
    assert F.cosine_similarity(found.flatten(1), expected.flatten(1)).min() > 0.999


def test_loading_leaves_the_mode_and_no_hooks(archive: Path) -> None:
    backbone = mobilenet_v2(WIDTH)
    load_folded_backbone(backbone, archive, draw_pixels())
    assert backbone.training
    assert not any(module._forward_pre_hooks for module in backbone.modules())

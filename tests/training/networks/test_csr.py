"""CSR + D2S against the paper's figures, its equations and the shapes of its heads."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from training.networks.csr import (
    CSR_HEADS,
    CrossScaleReweighting,
    Csr,
    CsrArchitecture,
    DepthToSpace,
    UpdateStage,
    apply_kernels,
    gather_features,
)

SMALL = CsrArchitecture(classes=3, width=0.125, csr_channels=16, channels=32, kernels=5)


@pytest.mark.parametrize(
    ("csr_channels", "table", "own"),
    [(128, 31.63, 31.664), (256, 32.13, 32.123), (512, 33.34, 33.041), (1024, 34.88, 34.876)],
)
def test_parameters_are_within_two_percent_of_table_three(
    csr_channels: int, table: float, own: float
) -> None:
    with torch.device("meta"):
        network = Csr(CsrArchitecture(80, csr_channels=csr_channels))
    millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
    assert millions == pytest.approx(table, rel=0.02)
    assert millions == pytest.approx(own, abs=0.0006)


def test_the_update_stage_has_the_parameters_of_k_nets_without_its_1x1_layer() -> None:
    with torch.device("meta"):
        stage = UpdateStage(256, 80)
    assert sum(parameter.numel() for parameter in stage.parameters()) == 2_062_416 - 256 * 256 - 256


@pytest.mark.parametrize("csr_channels", [16, 32])
def test_heads_have_one_row_per_kernel(csr_channels: int) -> None:
    network = Csr(replace(SMALL, csr_channels=csr_channels)).eval()
    heads = network(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
    assert tuple(heads) == CSR_HEADS
    assert {name: tuple(head.shape) for name, head in heads.items()} == {
        "scores": (2, 5, 3),
        "masks": (2, 5, 8, 12),
    }


def test_reweighting_follows_the_paper_s_equations() -> None:
    """With kernels of 1-D convolutions that pass one channel on, R = sigmoid(F3 + 2 F4 + 3 F5)."""
    module = CrossScaleReweighting((2, 2, 2), 2, 2)
    for layer in module.reduce:
        assert isinstance(layer, nn.Linear)
        nn.init.eye_(layer.weight)
    for row in (module.merge, module.mix):
        nn.init.zeros_(row.weight)
        nn.init.zeros_(row.bias)  # type: ignore[arg-type]
    with torch.no_grad():
        module.merge.weight[0, :, 1] = torch.tensor([1.0, 2.0, 3.0])
        module.mix.weight[0, 0, 1] = 1.0
    features = [torch.full((1, 2, 4, 4), 0.5), torch.full((1, 2, 2, 2), -1.0), torch.zeros(1, 2, 1, 1)]
    features[1][:, 1] = 0.25
    factors = module(features)
    assert factors.shape == (1, 2, 1, 1)
    torch.testing.assert_close(factors.flatten(), torch.tensor([0.5 - 2, 0.5 + 0.5]).sigmoid())


def test_depth_to_space_doubles_height_and_width() -> None:
    assert DepthToSpace(32)(torch.zeros(1, 32, 3, 5)).shape == (1, 32, 6, 10)


def test_kernels_are_1x1_convolutions_of_the_features() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # [1, 2, 1, 2]
    kernels = torch.tensor([[[1.0, 10.0], [0.0, -1.0]]])
    assert apply_kernels(kernels, features).tolist() == [[[[31.0, 42.0]], [[-3.0, -4.0]]]]


def test_a_gathered_feature_is_the_mean_over_the_mask() -> None:
    features = torch.tensor([[[[1.0, 3.0, 100.0]], [[5.0, 7.0, 100.0]]]])
    logits = torch.tensor([[[[20.0, 20.0, -60.0]]]])
    torch.testing.assert_close(gather_features(logits, features), torch.tensor([[[2.0, 6.0]]]))


def test_gradients_reach_every_weight() -> None:
    torch.manual_seed(0)
    network = Csr(SMALL)
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    sum(head.square().sum() for head in network(pixels).values()).backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_channels_that_the_group_normalisation_cannot_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        CsrArchitecture(3, channels=40)


def test_an_unknown_backbone_is_refused_with_the_possible_ones() -> None:
    with pytest.raises(ValueError, match=r"no backbone 'vgg'.*resnet101"):
        CsrArchitecture(3, backbone="vgg")

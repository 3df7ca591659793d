import pytest
import torch

from training.networks.layers import Convolution


@pytest.mark.parametrize(("stride", "groups"), [(1, 8), (2, 1), (2, 8)])
def test_in_bfloat16_a_convolution_learns_what_it_learns_in_float32(stride: int, groups: int) -> None:
    torch.manual_seed(0)
    layer = Convolution(8, 8, kernel=3, stride=stride, groups=groups).eval()
    features = torch.rand(2, 8, 6, 6)

    def learn(*, bfloat16: bool) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            found = layer(features.bfloat16() if bfloat16 else features)
        assert found.dtype == (torch.bfloat16 if bfloat16 else torch.float32)
        (gradient,) = torch.autograd.grad(found.float().square().sum(), layer.conv.weight)
        return found.float(), gradient

    for rounded, exact in zip(learn(bfloat16=True), learn(bfloat16=False), strict=True):
        torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
        assert exact.abs().max() > 0.1

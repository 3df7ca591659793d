"""TorchScript and NCNN files compute what the network does."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from service.inference.backends import BackendChoice
from service.inference.golden import draw_picture
from service.inference.segmenter import open_model
from tests.contract.networks import ARCHITECTURES, CANVAS, LABELS, draw_network
from training.export.model_folder import EXPORTERS, ModelInfo, export_model, run_network
from training.export.ncnn import ConversionFailed, write_ncnn, write_torchscript
from training.networks.blitzmask import Architecture
from training.networks.families import Network, build_network


def draw_blitzmask() -> Network:
    torch.manual_seed(0)
    return build_network(Architecture(2, width=0.35, neck_channels=16)).eval()


@pytest.mark.filterwarnings(
    "ignore:.torch.jit.load. is deprecated:DeprecationWarning"
)  # phones read such files
@pytest.mark.parametrize("name", ["blitzmask", *ARCHITECTURES])
def test_torchscript_computes_what_the_network_does_at_any_batch_size(tmp_path: Path, name: str) -> None:
    network = draw_blitzmask() if name == "blitzmask" else draw_network(name)
    write_torchscript(network, CANVAS, tmp_path / "network.pt")
    read = torch.jit.load(str(tmp_path / "network.pt"))  # type: ignore[no-untyped-call]
    pixels = np.stack([draw_picture(CANVAS, seed) for seed in (5, 6, 7)])
    found = read(torch.from_numpy(pixels))
    for head, values in run_network(network, pixels).items():
        np.testing.assert_allclose(found[head].detach(), values, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["blitzmask", *ARCHITECTURES])
def test_the_service_answers_from_ncnn_files_as_from_pytorch(tmp_path: Path, name: str) -> None:
    network = draw_blitzmask() if name == "blitzmask" else draw_network(name)
    info = ModelInfo(name, "1", "Random weights.", LABELS, CANVAS)
    card = export_model(network, info, tmp_path / name, exporters={"ncnn": EXPORTERS["ncnn"]})
    assert [part.path for part in card.files[0].parts] == ["model.fp32.param", "model.fp32.bin"]
    assert card.schema_version == 2
    segmenter = open_model(tmp_path / name, BackendChoice(runtime="ncnn"))
    pixels = np.stack([draw_picture(CANVAS, seed) for seed in (5, 6)])
    found = segmenter.backend.run(pixels)
    for head, values in run_network(network, pixels).items():
        np.testing.assert_allclose(found[head], values, rtol=1e-3, atol=1e-3)
    segmenter.close()


class FiveAxes(nn.Module):
    """NCNN's tensors have four axes, the batch among them."""

    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        mixed = pixels.reshape(1, 8, 12, 8, -1).permute(0, 2, 4, 1, 3)
        return {"mixed": mixed.reshape(1, -1, 8).softmax(dim=1)}


def test_a_network_that_ncnn_has_no_layer_for_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "network.param"
    with pytest.raises(ConversionFailed, match=r"no layer for .*Tensor\."):
        write_ncnn(FiveAxes(), CANVAS, path, outputs=["mixed"])
    assert not path.exists()


def test_without_pnnx_the_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pnnx", None)
    with pytest.raises(ConversionFailed, match="pip install pnnx"):
        write_ncnn(FiveAxes(), CANVAS, tmp_path / "network.param", outputs=["mixed"])

"""The table of all networks: their size beside their paper's, and their time on this machine.

    python -m training compare-networks --runtimes onnx,tflite --models runs/a/models/a

The first table has every network at its paper's input size; those with an AP in their paper are exported with
random weights and timed. The second table has the given model folders, with the AP of their cards.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import nn

from service.inference.backends import BackendChoice, open_backend
from service.inference.card import ArtifactFile, Card, Label, Runtime, read_card
from service.inference.golden import draw_picture
from service.types import Size
from training.export.complexity import CLASSES, count_network
from training.export.model_folder import EXPORTERS, ModelInfo, export_model, read_runtimes
from training.export.parity import name_processor, time_frames
from training.networks.blitzmask import Architecture
from training.networks.csr import CsrArchitecture
from training.networks.families import AnyArchitecture, build_network
from training.networks.resnet import Bottleneck
from training.networks.yolact import YolactArchitecture, mobile_yolact

TIMED = 20  # inferences of each file


@dataclass(frozen=True, slots=True)
class Published:
    """A network of a paper, and the paper's figures as text; an empty text: the paper gives none.

    ap: of masks on COCO, in percent. side: of the input, in pixels.
    """

    architecture: AnyArchitecture
    side: int
    parameters: str = ""
    ap: str = ""


NETWORKS: Sequence[Published] = (
    Published(Architecture(CLASSES, backbone="mobilenet_v2"), 320, ap="21.9"),
    Published(Architecture(CLASSES, backbone="efficientnet_lite_b0"), 320, ap="25.2"),
    Published(YolactArchitecture(CLASSES), 550, ap="28.2"),
    Published(YolactArchitecture(CLASSES, p6_from="C5"), 550, parameters="35.29 (Vo et al.)"),
    Published(YolactArchitecture(CLASSES, backbone="resnet101"), 550, ap="29.8"),
    Published(mobile_yolact(CLASSES), 320, ap="AP50 23.0"),
    *(
        Published(CsrArchitecture(CLASSES, csr_channels=channels), 800, parameters, ap)
        for channels, parameters, ap in (
            (128, "31.63", ""),
            (256, "32.13", "35.4"),
            (512, "33.34", ""),
            (1024, "34.88", ""),
        )
    ),
)
LABELS = tuple(Label(category_id=number, name=f"class {number}") for number in range(CLASSES))


def draw_sizes(networks: Sequence[Published], runtimes: Sequence[Runtime]) -> Iterator[str]:
    """The lines of a Markdown table, one after the other, as an export takes a minute."""
    names = ["network", "input", "parameters, M", "paper", "MAdds, G", "paper's mask AP"]
    names += [f"{runtime} fp32, ms" for runtime in runtimes]
    yield _join(names)
    yield _join(["---"] * len(names))
    for published in networks:
        yield _join(_describe(published, runtimes))


def _describe(published: Published, runtimes: Sequence[Runtime]) -> list[str]:
    architecture, canvas = published.architecture, Size(published.side, published.side)
    with torch.device("meta"):
        cost = count_network(build_network(architecture), canvas)
    cells = [name_network(architecture), str(published.side), f"{cost.parameters / 1e6:.2f}"]
    cells += [published.parameters, f"{cost.multiply_adds / 1e9:.2f}", published.ap]
    if not published.ap:  # it differs from a timed row in a detail
        return cells + [""] * len(runtimes)
    return cells + [f"{time_network(architecture, canvas, runtime):.1f}" for runtime in runtimes]


def name_network(architecture: AnyArchitecture) -> str:
    """The network with the options that tell it from the others of its kind.

    >>> name_network(CsrArchitecture(80))
    'CSR + D2S resnet50, 256 channels'
    """
    options = asdict(architecture)
    marks = {"neck_channels": "neck {}", "p6_from": "P6 from {}", "csr_channels": "{} channels"}
    named = [text.format(options[name]) for name, text in marks.items() if name in options]
    return ", ".join([f"{architecture.title} {architecture.backbone}", *named])


def time_network(architecture: AnyArchitecture, canvas: Size, runtime: Runtime) -> float:
    """The median milliseconds of an inference with one thread, with random weights."""
    torch.manual_seed(0)
    network = build_network(architecture)
    settle_norms(network, canvas)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "network"
        info = ModelInfo("network", "1", "Random weights.", LABELS, canvas)
        card = export_model(network, info, folder, exporters={runtime: EXPORTERS[runtime]})
        return time_file(folder, card, card.files[0])


def settle_norms(network: nn.Module, canvas: Size) -> None:
    """Give a network with random weights the statistics of drawn pictures, and put it into eval mode.

    The branches of residual blocks get small weights. Otherwise each block would double the features, and
    the differences between runtimes too.
    """
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, Bottleneck):
            nn.init.constant_(module.expand.norm.weight, 0.1)
    pixels = np.stack([draw_picture(canvas, seed) for seed in range(2)])
    with torch.no_grad():
        network.train()(torch.from_numpy(pixels))
    network.eval()


def time_file(folder: Path, card: Card, file: ArtifactFile) -> float:
    """The median milliseconds of an inference with one thread."""
    pixels = np.stack([draw_picture(card.canvas, seed) for seed in range(4)])
    choice = BackendChoice(runtime=file.runtime, precision=file.precision)
    with closing(open_backend(folder, card, choice)) as backend:
        return time_frames(backend, pixels, TIMED)


def draw_models(folders: Sequence[Path]) -> Iterator[str]:
    """The lines of a Markdown table: a row for each file of each model, with its time here."""
    names = ["model", "network", "input", "file", "ms", "mask AP", "box AP", "measured on"]
    yield _join(names)
    yield _join(["---"] * len(names))
    for folder in folders:
        card = read_card(folder)
        for file in card.files:
            cells = [card.name, card.network, f"{card.canvas.height} x {card.canvas.width}"]
            cells += [f"{file.runtime} {file.precision}", f"{time_file(folder, card, file):.1f}"]
            yield _join(cells + _read_accuracy(file))


def _read_accuracy(file: ArtifactFile) -> list[str]:
    found = file.accuracy
    return [f"{found.mask_ap:.3f}", f"{found.box_ap:.3f}", found.data] if found else ["", "", ""]


def _join(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def compare_networks(
    runtimes: Annotated[
        str, typer.Option(help="Runtimes to export each network to and to time, separated by commas.")
    ] = "",
    network: Annotated[str, typer.Option(help="Only networks whose name has this text in it.")] = "",
    models: Annotated[
        list[Path] | None, typer.Option(help="A trained model's folder for the second table.", exists=True)
    ] = None,
) -> None:
    """Print the size of every network beside its paper's, and times on this machine, as Markdown."""
    if runtimes or models:
        typer.echo(f"Times: {name_processor()}, one thread, batch 1, median of {TIMED}.\n")
    chosen = [each for each in NETWORKS if network in name_network(each.architecture)]
    for line in draw_sizes(chosen, read_runtimes(runtimes)):
        typer.echo(line)
    if models:
        typer.echo()
        for line in draw_models(models):
            typer.echo(line)

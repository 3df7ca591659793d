"""What a network costs: parameters and multiply-adds, counted, and the table of all backbones.

python -m training complexity > training/COMPLEXITY.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from torch import Tensor, nn

from service.types import Size
from training.networks.blitzmask import BACKBONES, Architecture, BlitzMask
from training.options import Side, check_numbers

CLASSES = 80  # COCO's
PAPER_NAMES = {
    "mobilenet_v1": "MobileNetV1",
    "mobilenet_v2": "MobileNetV2",
    **{f"efficientnet_lite_b{number}": f"EfficientNet-Lite B{number}" for number in range(5)},
    "resnet18_star": "ResNet-18\\*",
    "resnet18_two_stars": "ResNet-18\\*\\*",
}


@dataclass(frozen=True, slots=True)
class Complexity:
    """parameters: all that is learnt. multiply_adds: of the convolutions, for one image."""

    parameters: int
    multiply_adds: int


def count_network(network: nn.Module, canvas: Size) -> Complexity:
    """The complexity of a network that takes uint8 [1, H, W, 3]; on the device "meta" this costs nothing.

    Normalisation, activations, sums and resizing are not counted, as is the custom for MAdds.
    """
    device = next(network.parameters()).device
    pixels = torch.zeros(1, canvas.height, canvas.width, 3, dtype=torch.uint8, device=device)
    counts: list[int] = []

    def count(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        counts.append(output[0, 0].numel() * layer.weight.numel())  # each weight meets each place once

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    handles = [layer.register_forward_hook(count) for layer in layers]
    training = network.training
    with torch.no_grad():
        network.eval()(pixels)
    network.train(training)
    for handle in handles:
        handle.remove()
    return Complexity(sum(parameter.numel() for parameter in network.parameters()), sum(counts))


def count_architecture(architecture: Architecture, canvas: Size) -> Complexity:
    """The complexity of a network that need not be built in memory."""
    with torch.device("meta"):
        return count_network(BlitzMask(architecture), canvas)


def write_table(backbones: Sequence[str], necks: Sequence[int], canvas: Size) -> str:
    """Markdown: a row per backbone and neck width, with and without the mask heads."""
    lines = [
        "| backbone | neck | parameters, M | MAdds, G | boxes only: parameters, M | MAdds, G |",
        "|---|---|---|---|---|---|",
    ]
    for backbone in backbones:
        for neck in necks:
            costs = [
                count_architecture(
                    Architecture(CLASSES, backbone=backbone, neck_channels=neck, masks=masks), canvas
                )
                for masks in (True, False)
            ]
            figures = [f"{cost.parameters / 1e6:.2f} | {cost.multiply_adds / 1e9:.2f}" for cost in costs]
            lines.append(f"| {PAPER_NAMES[backbone]} | {neck} | {' | '.join(figures)} |")
    return "\n".join(lines)


def complexity(
    side: Side = 320,
    necks: Annotated[
        str, typer.Option(help="Neck widths, with commas.", callback=check_numbers)
    ] = "64,96,128",
) -> None:
    """Print parameters and multiply-adds of every backbone as a Markdown table."""
    widths = [int(width) for width in necks.split(",")]
    typer.echo(f"# What every backbone costs\n\nCOCO's {CLASSES} classes at {side}x{side} pixels.")
    typer.echo(f"`python -m training complexity --side {side} --necks {necks}` made this table.\n")
    typer.echo(write_table(list(BACKBONES), widths, Size(side, side)))

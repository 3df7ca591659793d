"""Parameters and multiply-adds of a network, and the table of all backbones.

python -m training complexity > training/COMPLEXITY.md
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

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
    """parameters: all learnt numbers. multiply_adds: of the convolutions, for one image."""

    parameters: int
    multiply_adds: int


def count_network(network: nn.Module, canvas: Size) -> Complexity:
    """The complexity of a network that takes uint8 [1, H, W, 3]; on the device "meta" it computes nothing.

    As is usual, normalisations, activations, sums and resizing are not counted.
    """
    device = next(network.parameters()).device
    pixels = torch.zeros(1, canvas.height, canvas.width, 3, dtype=torch.uint8, device=device)
    training = network.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.eval()(pixels)
    network.train(training)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Complexity(parameters, counter.get_total_flops() // 2)


def count_architecture(architecture: Architecture, canvas: Size) -> Complexity:
    """The complexity of a network, without the memory for its weights."""
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
        str, typer.Option(help="Neck widths, separated by commas.", callback=check_numbers)
    ] = "64,96,128",
) -> None:
    """Print parameters and multiply-adds of every backbone as a Markdown table."""
    widths = [int(width) for width in necks.split(",")]
    typer.echo("# Parameters and multiply-adds of every backbone\n")
    typer.echo(f"COCO's {CLASSES} classes at {side}x{side} pixels.")
    typer.echo(f"`python -m training complexity --side {side} --necks {necks}` writes this table.\n")
    typer.echo(write_table(list(BACKBONES), widths, Size(side, side)))

"""A run on TensorBoard: scalars as it goes, and at every mark pictures of what the network sees by then."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from service.types import Pixels
from training.journal import Report

Draw = Callable[[], Pixels]


class Board:
    """Writes TensorBoard's event files; draw: makes the picture of a mark, uint8 [H, W, 3]."""

    def __init__(self, folder: Path, draw: Draw, *, every: int = 10) -> None:
        self.folder, self.draw, self.every = folder, draw, every
        self._writer: SummaryWriter | None = None

    def write(self, report: Report) -> None:
        writer = self._open(report.step)
        if report.step % self.every == 0 or report.mark is not None:
            scalars = {f"loss/{name}": value for name, value in report.terms.items()}
            scalars |= {"loss/all": report.loss, "pace/rate": report.rate, "pace/momentum": report.momentum}
            for name, value in (scalars | {"images_per_second": report.images_per_second}).items():
                writer.add_scalar(name, value, report.step)
        if report.mark is not None:
            for name, value in asdict(report.mark.means).items():
                writer.add_scalar(f"val/{name}", value, report.step)
            writer.add_image("val/asked for, found", self.draw(), report.step, dataformats="HWC")
            writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self, step: int) -> SummaryWriter:
        """What an interrupted run had written beyond `step` is no longer shown."""
        if self._writer is None:
            self._writer = SummaryWriter(str(self.folder), purge_step=step)
        return self._writer

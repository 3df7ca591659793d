"""Checkpoints that are whole or not there."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch


class CheckpointNotWritten(OSError):
    """The disk is full, or not to be written to; the last good checkpoint is still there."""


class CheckpointRefused(ValueError):
    """The file is not what a run wrote, or what another run wrote."""


def write_checkpoint(content: dict[str, Any], path: Path) -> None:
    """Replaces the file in one step, so that neither a crash nor a full disk costs the last good one.

    Raises CheckpointNotWritten.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    try:
        with draft.open("wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
        _settle(path.parent)
    except (OSError, RuntimeError) as error:  # torch's writer hides a full disk in a RuntimeError
        reason = f"{path} could not be written: {error}"
        raise CheckpointNotWritten(
            f"{reason}; the last one is as it was, and the run goes on from it"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """After this not even a power cut takes the new name back."""
    place = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def read_checkpoint(path: Path, *, parts: Collection[str] = ()) -> dict[str, Any]:
    """What was written, on the CPU; only tensors and plain values are unpickled.

    Raises CheckpointRefused where it is none, or lacks one of `parts`.
    """
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever its bytes lead the unpickler to
        raise CheckpointRefused(f"{path} is not the checkpoint.pt of a run: {error!r:.80}") from error
    if not isinstance(content, dict) or not content.keys() >= set(parts):
        raise CheckpointRefused(f"{path} is not the checkpoint.pt of a run: it has no {', '.join(parts)}")
    return content

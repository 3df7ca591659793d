"""How often pictures are shown, so that what is rare is not lost among what is common."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from training.annotations import Picture


def find_repeats(pictures: Sequence[Picture], threshold: float, *, mask_share: float | None = None) -> Tensor:
    """Repeat factors (LVIS: Gupta et al., 2019, sec. 4.2): float64 [N], positive.

    A category that a share f of the pictures holds asks for sqrt(threshold / f), and a picture gets the most
    that one of its categories asks for, at least 1. mask_share: the factors of the pictures with a mask are
    then scaled, so that these are such a share of all that are shown; None: they are not.
    """
    held = [{item.label for item in picture.annotations} for picture in pictures]
    counts = Counter(label for labels in held for label in labels)
    asked = {label: (threshold * len(pictures) / count) ** 0.5 for label, count in counts.items()}
    factors = [max((asked[label] for label in labels), default=1.0) for labels in held]
    repeats = torch.tensor(factors, dtype=torch.float64).clamp(min=1.0)
    masked = torch.tensor([any(item.counts for item in picture.annotations) for picture in pictures])
    if mask_share is None or masked.all() or not masked.any():
        return repeats
    scale = mask_share / (1 - mask_share) * repeats[~masked].sum() / repeats[masked].sum()
    return torch.where(masked, repeats * scale, repeats)


def draw_order(repeats: Tensor, generator: torch.Generator) -> Tensor:
    """An epoch's pictures, as many as there are and in random order: int64 [N].

    Each comes as often as its share of the repeats says, or once more or less, as chance has it.
    """
    count = len(repeats)
    mixed = torch.randperm(count, generator=generator)
    if (repeats == repeats[0]).all():
        return mixed  # each once, as runs had it before there were repeats
    ends = repeats[mixed].cumsum(0)
    marks = (torch.arange(count) + torch.rand(1, generator=generator, dtype=torch.float64)) / count
    drawn = mixed[torch.searchsorted(ends, marks * ends[-1], right=True).clamp(max=count - 1)]
    return drawn[torch.randperm(count, generator=generator)]

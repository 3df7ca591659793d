"""The smaller model's first version: the default one's network of then, made used to canvases of 192.

torchrun --nproc-per-node 2 -m training train --data everyday-320 --recipe everyday_192 \\
    --origin run-small/checkpoint.pt --out run-192

Two AMD EPYC cores (Zen 5) that had other work most of the time, 9 minutes by the clock, 7 epochs. On val at
192x192, over categories 1 to 16: mask AP 0.178, AP50 0.300, box AP 0.170, from a mask AP of 0.175 before
(models/blitzmask-mobilenetv2-192 1.0.0).
"""

from dataclasses import replace

from training.recipe import Stage
from training.recipes.everyday_small import RECIPE as EVERYDAY_SMALL

RECIPE = replace(
    EVERYDAY_SMALL,
    hours=0.15,
    stages=(Stage(until=0.6, side=192), Stage(until=1.0, side=192, upsampling=3)),
    rate=4e-4,
    examination=None,
    seed=400,
)

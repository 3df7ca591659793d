"""A former default model: most of it on small canvases, with objects of other pictures pasted in.

python -m training shrink everyday-320 --data ../shared/data/everyday --side 320
torchrun --nproc-per-node 2 -m training train --data everyday-320 --recipe everyday_small \\
    --origin run-paste/checkpoint.pt --out run-small

Two AMD EPYC cores that had other work most of the time, 1.27 hours by the clock: 8,520 steps, 41 epochs,
30 pictures a second. On val, over categories 1 to 16: mask AP 0.200, AP50 0.327, box AP 0.173
(models/blitzmask-mobilenetv2 1.3.0), from 0.181, 0.296 and 0.175 before. The run that it started from is in
training/RESULTS.md.
"""

from dataclasses import replace

from training.augment import CopyPaste
from training.recipe import Stage
from training.recipes.everyday_long import RECIPE as EVERYDAY_LONG
from training.watch import Examination

assert EVERYDAY_LONG.augmentation is not None

RECIPE = replace(
    EVERYDAY_LONG,
    hours=1.27,
    stages=(
        Stage(until=0.5, side=160),
        Stage(until=0.72, side=224),
        Stage(until=0.9, side=320),
        Stage(until=1.0, side=320, upsampling=3),
    ),
    augmentation=replace(EVERYDAY_LONG.augmentation, paste=CopyPaste(share=0.3, most=3)),
    examination=Examination(every=10),
    seed=300,
)

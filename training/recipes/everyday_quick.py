"""The default model, trained on with the early blocks of its backbone frozen: more pictures an hour.

torchrun --nproc-per-node 2 -m training train --data everyday-320 --recipe everyday_quick \\
    --origin models/blitzmask-mobilenetv2 --out run-quick
"""

from dataclasses import replace

from training.recipes.everyday_small import RECIPE as EVERYDAY_SMALL

RECIPE = replace(EVERYDAY_SMALL, hours=1.75, frozen_blocks=4, repeat_threshold=0.2, seed=500)

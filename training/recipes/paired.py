"""Short runs that differ in one thing, to compare by `compare-runs`: four epochs at 160x160, from ImageNet.

    python -m training shrink everyday-320 --data ../shared/data/everyday --side 320
    for name in RECIPE DENSE PER_OBJECT PROJECTED; do for seed in 0 1; do
        OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m training train --data everyday-320 --runtimes "" \\
            --recipe paired:$name --set seed=$seed --out runs/paired/$name-$seed \\
            --init ../shared/data/backbones/mobilenet_v2_imagenet.npz
    done; done
    python -m training compare-runs runs/paired/*-0/checkpoint.pt --data everyday-320 --side 160

Each adds one option to the one before it; the first is the paper's ground truth and losses. RESULTS.md has
the figures.
"""

from dataclasses import replace

from training.data.groundtruth import TargetRules
from training.losses import LossWeights
from training.lr_schedule import Cosine
from training.recipe import Stage
from training.recipes import default_model

RECIPE = replace(
    default_model.RECIPE,
    epochs=4,
    stages=(Stage(until=1.0, side=160, mask_cells=5),),
    schedule=Cosine(warm_up=0.05),
    mask_share=None,
    average_decay=0.99,
    snapshot_minutes=None,
    rules=TargetRules(centre="mass", overlap=0.5, enclosed=True),
    losses=LossWeights(eps1=0.0, eps2=-0.05, l1=0.05, iou=1.5, cross_entropy=0.5, dice=2.5),
)
DENSE = replace(RECIPE, rules=replace(RECIPE.rules, dense=0.54))
PER_OBJECT = replace(DENSE, losses=replace(DENSE.losses, per_batch=True))
PROJECTED = replace(PER_OBJECT, losses=replace(PER_OBJECT.losses, projection=1.0))

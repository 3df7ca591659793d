"""The rows of the paper's table 3, each one change further than the row above, on MobileNetV2 and COCO.

    python -m training train --data COCO --recipe ablation:LRFINDER --out runs/lrfinder

The paper's mask APs are in the comments. Not run by us yet: a row is days of one GPU. What the paper leaves
open about its first row, rate and length, is CenterNet's for as long.
"""

from dataclasses import replace

from training.data.groundtruth import TargetRules
from training.losses import LossWeights
from training.lr_schedule import Found, Steps
from training.recipe import Stage
from training.recipes.paper_b0 import RECIPE as PAPER

CENTERNET = LossWeights(eps2=0.0, l1=0.1, iou=0.0, cross_entropy=1.0, dice=0.0)

PIECEWISE = replace(  # 18.7
    PAPER,
    backbone="mobilenet_v2",
    epochs=140,
    stages=(Stage(until=1.0, side=320),),
    schedule=Steps(milestones=(0.65, 0.86)),
    rate=0.02,
    losses=CENTERNET,
    rules=TargetRules(centre="box"),
)
LRFINDER = replace(PIECEWISE, schedule=Found())  # 19.8
UPSAMPLING = replace(LRFINDER, stages=PAPER.stages)  # 20.7
POLY = replace(UPSAMPLING, losses=replace(CENTERNET, eps2=-0.05))  # 20.9
UNIT_BOX = replace(POLY, losses=replace(POLY.losses, l1=0.05, iou=1.5))  # 21.2
DICE = replace(UNIT_BOX, losses=replace(UNIT_BOX.losses, cross_entropy=0.5, dice=2.5))  # 21.6
MASS_CENTRE = replace(DICE, rules=TargetRules(centre="mass"))  # 21.9

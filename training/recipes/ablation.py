"""The rows of the paper's table 3, on MobileNetV2 and COCO; each row adds one change to the row before.

    python -m training train --data COCO --recipe ablation:LRFINDER --out runs/lrfinder

The comments give the paper's mask APs. We have not run these yet: a row takes days of one GPU. The paper
gives neither rate nor length of the first row, so these are CenterNet's.
"""

from dataclasses import replace

from training.data.groundtruth import TargetRules
from training.losses import LossWeights
from training.lr_schedule import LrFinderSchedule, Steps
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
LRFINDER = replace(PIECEWISE, schedule=LrFinderSchedule())  # 19.8
UPSAMPLING = replace(LRFINDER, stages=PAPER.stages)  # 20.7
POLY = replace(UPSAMPLING, losses=replace(CENTERNET, eps2=-0.05))  # 20.9
UNIT_BOX = replace(POLY, losses=replace(POLY.losses, l1=0.05, iou=1.5))  # 21.2
DICE = replace(UNIT_BOX, losses=replace(UNIT_BOX.losses, cross_entropy=0.5, dice=2.5))  # 21.6
MASS_CENTRE = replace(DICE, rules=TargetRules(centre="mass"))  # 21.9

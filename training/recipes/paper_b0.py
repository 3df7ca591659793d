"""The paper's EfficientNet-Lite B0 on COCO, from random weights (BlitzMask, sec. 4.1 and appendix A).

    torchrun --nproc-per-node GPUS -m training train --data COCO --recipe paper_b0 --out runs/b0

COCO is a folder with annotations/, train2017/ and val2017/. With one GPU, use `python` instead of
`torchrun --nproc-per-node GPUS`. The paper reports 342 epochs (312 by LRfinder, 30 of tuning) and mask AP
25.2, but neither hardware nor hours. We have not run it yet. The paper's other networks differ in `backbone`
alone. The weight decay is MobileNet's, since the paper gives none.
"""

from training.data.augment import Augmentation
from training.lr_schedule import LrFinderSchedule
from training.recipe import Recipe, Stage
from training.validation import Validation

RECIPE = Recipe(
    backbone="efficientnet_lite_b0",
    neck_channels=128,
    epochs=342,
    stages=(Stage(until=1.0, side=320), Stage(until=2.0, side=320, upsampling=3)),
    batch_size=64,
    optimizer="sgd",
    schedule=LrFinderSchedule(),
    backbone_rate=1.0,
    weight_decay=4e-5,
    average_decay=0.9995,
    workers=12,
    augmentation=Augmentation(scale=(0.25, 4.0), aspect=(0.5, 2.0)),
    validation=Validation(every=5, pictures=1000),
)

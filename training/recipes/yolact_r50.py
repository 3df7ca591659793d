"""YOLACT with ResNet-50 on COCO (Bolya et al., 2019, sec. 5; the authors' configuration `yolact_resnet50`).

    python -m training train --data COCO --recipe yolact_r50 --init RESNET50.pth --out runs/yolact

RESNET50.pth is torchvision's checkpoint. The authors train 800,000 steps of 8 pictures, about 54 epochs, by
SGD at 1e-3 with warm-up, and divide the rate by 10 after 280,000, 600,000, 700,000 and 750,000 steps. They
stretch pictures to 550 x 550 and report mask AP 28.2. Here the canvas is 544 x 544, since a side must be a
multiple of 32, and pictures keep their aspect, as in the service. We have not run it yet.

`network=yolact_c5` makes P6 from C5, as in mmdetection: 35.29 M parameters, not 31.16 M.
"""

from training.data.augment import Augmentation
from training.lr_schedule import Steps
from training.recipe import Recipe, Stage
from training.validation import Validation

RECIPE = Recipe(
    network="yolact",
    backbone="resnet50",
    neck_channels=256,
    epochs=54,
    stages=(Stage(until=1.0, side=544),),
    batch_size=8,
    optimizer="sgd",
    schedule=Steps(milestones=(0.35, 0.75, 0.875, 0.9375), warm_up=500 / 800_000),
    rate=1e-3,
    momentum=0.9,
    backbone_rate=1.0,
    weight_decay=5e-4,
    average_decay=0.999,
    workers=8,
    augmentation=Augmentation(scale=(0.25, 1.6), aspect=(0.5, 2.0)),
    validation=Validation(every=5, pictures=1000),
)

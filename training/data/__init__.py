"""From COCO annotation files to batches of pictures with ground truth.

The rest of `training` uses `datasets`, `training_set`, `loader` and `batch`; all else may change freely.
"""

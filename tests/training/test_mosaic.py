"""Mosaics keep what each quarter knows."""

from dataclasses import replace

import torch

from training.batch import Batch
from training.mosaic import tile_batches


def make_quarter(number: int, *, objects: int) -> Batch:
    """8 x 16 pixels, 2 x 4 cells, two classes; every value tells the quarter's number."""
    return Batch(
        pixels=torch.full((1, 8, 16, 3), number, dtype=torch.uint8),
        heatmap=torch.full((1, 2, 4, 2), number / 10),
        counted=torch.full((1, 2, 4, 2), number % 2 == 0),
        image=torch.zeros(objects, dtype=torch.int64),
        label=torch.full((objects,), number % 2),
        cell=torch.tensor([[1, 2]] * objects, dtype=torch.int64).reshape(-1, 2),
        size=torch.full((objects, 4), float(number)),
        mask=torch.ones(objects, 4, 8, dtype=torch.uint8),
        masked=torch.ones(objects, dtype=torch.bool),
    )


def make_mosaic() -> Batch:
    return tile_batches([make_quarter(number, objects=count) for number, count in enumerate((1, 0, 2, 1))])


def test_quarters_lie_row_by_row() -> None:
    mosaic = make_mosaic()
    assert mosaic.pixels.shape == (1, 16, 32, 3)
    assert mosaic.pixels[0, [0, 0, 15, 15], [0, 31, 0, 31], 0].tolist() == [0, 1, 2, 3]
    assert mosaic.heatmap.shape == (1, 4, 8, 2)
    assert mosaic.counted[0, [0, 0, 3, 3], [0, 7, 0, 7], 0].tolist() == [True, False, True, False]


def test_objects_keep_their_sizes_and_move_with_their_quarter() -> None:
    mosaic = make_mosaic()
    assert mosaic.cell.tolist() == [[1, 2], [3, 2], [3, 2], [3, 6]]
    assert mosaic.size[:, 0].tolist() == [0, 2, 2, 3]
    assert mosaic.label.tolist() == [0, 0, 0, 1]
    assert mosaic.image.tolist() == [0, 0, 0, 0]


def test_a_mask_is_where_its_quarter_is_and_nowhere_else() -> None:
    masks = make_mosaic().mask
    assert masks.shape == (4, 8, 16)
    assert masks.sum(dim=(1, 2)).tolist() == [32, 32, 32, 32]
    assert masks[0, :4, :8].all()
    assert masks[1, 4:, :8].all()
    assert masks[3, 4:, 8:].all()


def test_four_empty_pictures_make_an_empty_one() -> None:
    empty = [make_quarter(number, objects=0) for number in range(4)]
    mosaic = tile_batches(empty)
    assert mosaic.mask.shape == (0, 8, 16)
    assert mosaic.cell.shape == (0, 2)


def test_unknown_masks_stay_unknown() -> None:
    unknown = replace(make_quarter(3, objects=1), masked=torch.zeros(1, dtype=torch.bool))
    mosaic = tile_batches([make_quarter(number, objects=1) for number in range(3)] + [unknown])
    assert mosaic.masked.tolist() == [True, True, True, False]

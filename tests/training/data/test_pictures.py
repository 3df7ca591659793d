"""Files of pictures are found under the names that labelling tools write, and read as they are seen."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from service.types import Size
from training.data.pictures import PictureFailed, PictureFinder, read_header, read_image, turn_upright


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images" / "part").mkdir(parents=True)
    for name in ("images/a b.jpg", "images/part/c.JPG", "beside.png", "images/0.png", "images/part/0.png"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a b.jpg", "a b.jpg"),
        ("images/a b.jpg", "a b.jpg"),
        ("images\\a b.jpg", "a b.jpg"),
        ("C:\\data\\images\\a b.jpg", "a b.jpg"),
        ("/somewhere/else/a b.jpg", "a b.jpg"),
        ("https://host.example/set/a%20b.jpg?size=1", "a b.jpg"),
        ("/data/local-files/?d=set/a%20b.jpg", "a b.jpg"),
        ("/data/upload/1/0a1b2c3d-a b.jpg", "a b.jpg"),
        ("A B.JPG", "a b.jpg"),
        ("part/c.jpg", "part/c.JPG"),
        ("c.jpg", "part/c.JPG"),
        ("beside.png", "../beside.png"),
        ("0.png", "0.png"),
        ("part/0.png", "part/0.png"),
        ("elsewhere/part/0.png", "part/0.png"),
        ("gone.jpg", None),
        ("a", None),
        ("", None),
        ("x" * 5000, None),
        ("\0", None),
    ],
)
def test_a_name_finds_its_file(folder: Path, name: str, found: str | None) -> None:
    assert PictureFinder([folder / "images", folder]).find(name) == found


def test_a_bare_name_of_two_files_finds_none(folder: Path) -> None:
    (folder / "images" / "part" / "A B.jpg").touch()
    assert PictureFinder([folder / "images"]).find("A B.JPG") is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_read_as_it_is_seen(tmp_path: Path, orientation: int) -> None:
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:20, :30] = (255, 0, 0)
    stored[30:, 45:] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.jpg"
    Image.fromarray(stored).save(path, exif=exif, quality=95)
    seen = np.array(ImageOps.exif_transpose(Image.open(path)))
    assert np.abs(read_image(path).astype(int) - seen).mean() < 3
    header = read_header(path)
    assert (header.stored, header.orientation) == (Size(40, 60), orientation)
    assert header.upright == Size(*seen.shape[:2])
    assert np.abs(turn_upright(stored, orientation).astype(int) - seen).mean() < 9


def test_the_header_of_a_png_holds_the_orientation_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png", exif=exif)
    assert read_header(tmp_path / "a.png").upright == Size(*read_image(tmp_path / "a.png").shape[:2])


@pytest.mark.parametrize("content", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_a_file_without_a_picture_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(PictureFailed, match=r"a\.png"):
        read_header(tmp_path / "a.png")

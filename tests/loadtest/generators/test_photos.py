from pathlib import Path

import pytest

from loadtest.generators.photos import choose_photos
from loadtest.types import CannotRun


def test_a_file_is_one_photo(photo_file: Path) -> None:
    (photo,) = choose_photos(photo_file)
    assert (photo.name, photo.media_type) == ("cat.jpg", "image/jpeg")
    assert photo.data == photo_file.read_bytes()


def test_a_folder_is_a_mix_by_name_that_leaves_out_what_is_no_image(photo_file: Path) -> None:
    folder = photo_file.parent
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "COPYRIGHT.txt").write_text("by nobody")
    (folder / "deeper").mkdir()

    assert [photo.name for photo in choose_photos(folder)] == ["a.png", "cat.jpg"]


@pytest.mark.parametrize("content", [b"", b"no image", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(CannotRun, match=r"photo\.jpg is not a JPEG"):
        choose_photos(path)


def test_an_absent_file_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="cannot read"):
        choose_photos(tmp_path / "absent.jpg")
    with pytest.raises(CannotRun, match="holds no"):
        choose_photos(tmp_path)

from pathlib import Path

import pytest

from service.camera.folder import Folder, list_images
from service.camera.source import Shot, SourceLost


def test_images_come_by_name_and_keep_it(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt", "c.webp"):
        (tmp_path / name).write_bytes(name.encode())
    folder = Folder(tmp_path, list_images(tmp_path))
    capture = folder.open()
    assert list(iter(capture.read, None)) == [Shot(b"a.jpg"), Shot(b"b.PNG"), Shot(b"c.webp")]
    assert folder.title(1) == str(tmp_path / "b.PNG")
    assert folder.name == tmp_path.name


def test_an_empty_folder_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SourceLost, match=r"has no images: .*\.jpg"):
        list_images(tmp_path)


def test_a_file_that_goes_missing_is_an_empty_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"a")
    folder = Folder(tmp_path, list_images(tmp_path))
    (tmp_path / "a.jpg").unlink()
    capture = folder.open()
    assert capture.read() == Shot(b"")
    assert capture.read() is None


def test_a_folder_named_like_an_image_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    assert Folder(tmp_path, list_images(tmp_path)).open().read() == Shot(b"")

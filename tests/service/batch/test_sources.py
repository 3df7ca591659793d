"""The pictures of every kind of input, by name, in order."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.batch.sources import Source, read_ids
from service.errors import InvalidImage, InvalidOption
from service.frames import RawImage

MOST = 1000


def list_names(place: object) -> list[str]:
    return [item.name for item in Source(str(place), MOST).items()]


def read_all(place: object) -> dict[str, object]:
    return {item.name: item.load() for item in Source(str(place), MOST).items()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures in two folders, and files that are none."""
    for name in ("b.jpg", "a/2.PNG", "a/1.webp", "notes.txt", ".hidden.jpg", ".trash/c.jpg"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "photos"


def test_a_folder_gives_its_pictures_by_name_and_those_of_its_folders(folder: Path) -> None:
    pictures = read_all(folder)
    assert pictures == {name: name.encode() for name in ("a/1.webp", "a/2.PNG", "b.jpg")}
    assert Source(str(folder), MOST).count() == 3


def test_pictures_are_numbered_from_1(folder: Path) -> None:
    assert [item.image_id for item in Source(str(folder), MOST).items()] == [1, 2, 3]


def test_a_pattern_gives_the_pictures_that_fit(folder: Path) -> None:
    assert list_names(folder / "**/*.jpg") == [str(folder / "b.jpg")]
    assert Source(str(folder / "a/*"), MOST).count() == 2


def test_only_the_pictures_of_a_data_set_come_with_its_numbers(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "coco.json"
    data.write_text('{"images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a/2.PNG"}]}')
    source = Source(str(folder), MOST, read_ids(data))
    assert [(item.name, item.image_id) for item in source.items()] == [("a/2.PNG", 3), ("b.jpg", 7)]
    assert source.count() == 2


@pytest.mark.parametrize("content", ["", "[]", '{"images": [{}]}', '{"images": 3}'])
def test_a_file_that_is_no_data_set_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text(content)
    with pytest.raises(InvalidOption, match="is no COCO data set"):
        read_ids(tmp_path / "coco.json")


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz", "all.tgz"])
def test_a_tar_archive_gives_its_pictures_in_its_own_order(name: str, folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / name, "w:gz" if name.endswith("gz") else "w") as archive:
        archive.add(folder / "b.jpg", "z/b.jpg")
        archive.add(folder / "notes.txt", "notes.txt")
        archive.add(folder / "a", "a")
    pictures = read_all(tmp_path / name)
    assert next(iter(pictures)) == "z/b.jpg"
    assert pictures == {"z/b.jpg": b"b.jpg", "a/1.webp": b"a/1.webp", "a/2.PNG": b"a/2.PNG"}


def test_several_archives_keep_their_pictures_apart(folder: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.write(folder / "b.jpg", "b.jpg")
    assert list_names(tmp_path / "*.zip") == [f"{tmp_path}/{name}/b.jpg" for name in ("one.zip", "two.zip")]


def test_a_zip_archive_gives_its_pictures_and_refuses_one_that_is_damaged(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.jpg", b"first")
        archive.writestr("__MACOSX/._a.jpg", b"no picture")
        archive.writestr("b.jpg", b"second")
    (tmp_path / "all.zip").write_bytes(content.getvalue().replace(b"second", b"broken"))
    first, second = Source(str(tmp_path / "all.zip"), MOST).items()
    assert (first.name, first.load(), second.name) == ("a.jpg", b"first", "b.jpg")
    with pytest.raises(InvalidImage, match="cannot be read from the archive"):
        second.load()


@pytest.mark.parametrize("name", ["all.tar", "all.tar.gz", "all.zip"])
def test_a_damaged_archive_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"this is no archive" * 100)
    with pytest.raises(InvalidOption, match=rf"{name} (is damaged|cannot be read)"):
        list_names(tmp_path / name)


def test_a_video_gives_its_frames(tmp_path: Path) -> None:
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (0, 100, 200):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    source = Source(str(path), MOST)
    frames = {item.name: item.load() for item in source.items()}
    assert list(frames) == ["frame-000000", "frame-000001", "frame-000002"]
    assert source.count() == 3
    last = frames["frame-000002"]
    assert isinstance(last, RawImage)
    assert abs(np.frombuffer(last.data, np.uint8).mean() - 200) < 5


def test_no_more_is_read_of_a_picture_than_tells_that_it_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "huge.jpg").write_bytes(bytes(10 * MOST))
    (picture,) = read_all(tmp_path).values()
    assert picture == bytes(MOST + 1)


def test_a_picture_that_is_gone_or_may_not_be_read_fails_alone(folder: Path) -> None:
    items = list(Source(str(folder), MOST).items())
    (folder / "b.jpg").unlink()
    with pytest.raises(InvalidImage, match="cannot be read: no such file"):
        items[-1].load()
    assert items[0].load() == b"a/1.webp"


def test_a_file_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidOption, match="is no picture, archive, video or folder"):
        list_names(folder / "notes.txt")


def test_names_that_are_not_utf8_are_written_with_escapes(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff.jpg"
    with open(path, "wb"):  # noqa: PTH123  # a Path cannot hold these bytes
        pass
    (name,) = list_names(tmp_path)
    assert name == "\\udcff.jpg"

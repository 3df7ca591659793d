"""The results of a finished job: COCO results, JSON lines or Parquet, and the list of bad files.

The rows come from the journal one by one, so that memory does not grow with their number.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import orjson

from service.batch.journal import Journal, Row
from service.batch.stores import open_store
from service.errors import InvalidOption
from service.inference.card import Card
from service.types import MaskFormat

GROUP = 1000  # rows that Parquet holds in memory, and compresses together

Write: TypeAlias = Callable[[Path, Iterator[Row]], None]


@dataclass(frozen=True, slots=True)
class Output:
    """The file of the results; the other files of the job have names that begin with the same words."""

    place: str
    write: Write

    @property
    def journal(self) -> Path:
        """The journal lies beside the results, for an object store in the present folder."""
        name = f"{self.place}.journal"
        return Path(name.rpartition("/")[2] if "://" in name else name)

    @property
    def is_there(self) -> bool:
        return open_store(self.place).has(self.place)

    @property
    def failures(self) -> str:
        return self._replace_suffix(".failed.jsonl")

    @property
    def images(self) -> str:
        return self._replace_suffix(".images.json")

    def _replace_suffix(self, suffix: str) -> str:
        return self.place.removesuffix(Path(self.place).suffix) + suffix


def parse_output(place: str, masks: MaskFormat = "rle") -> Output:
    """The output with the format of its suffix; raises InvalidOption where it cannot hold such masks."""
    suffix = Path(place).suffix.lower()
    if suffix not in WRITERS:
        raise InvalidOption(f"{place}: the output is one of {', '.join(f'NAME{each}' for each in WRITERS)}")
    if suffix == ".parquet":
        _import_pyarrow()
    if suffix == ".json" and masks not in ("rle", "none"):
        raise InvalidOption(f"COCO results have no masks of the form {masks}: choose rle, or .jsonl")
    return Output(place, WRITERS[suffix])


def write_results(output: Output, journal: Journal, card: Card) -> None:
    """Writes the results, the list of bad files if there are any, and for COCO results the pictures' list."""
    _place(output.place, journal, output.write)
    if journal.failures:
        _place(output.failures, journal, _write_failures)
    if output.write is _write_coco:
        _place(output.images, journal, lambda path, rows: _write_images(path, rows, card))


def _place(place: str, journal: Journal, write: Write) -> None:
    """Write a file beside the journal, then put it in its place as a whole."""
    draft = journal.path.with_name(f"{journal.path.name}.draft")
    write(draft, journal.rows())
    open_store(place).write(draft, place)


def _answers(rows: Iterable[Row]) -> Iterator[Row]:
    return (row for row in rows if not row.failed)


def _write_json_lines(path: Path, rows: Iterator[Row]) -> None:
    with path.open("wb") as file:
        file.writelines(row.line for row in _answers(rows))


def _write_failures(path: Path, rows: Iterator[Row]) -> None:
    with path.open("wb") as file:
        file.writelines(row.line for row in rows if row.failed)


def _write_coco(path: Path, rows: Iterator[Row]) -> None:
    """A list for `COCO.loadRes`, one instance on each line."""
    instances = (
        {"image_id": row.content["image_id"], **_drop_label(instance)}
        for row in _answers(rows)
        for instance in row.content["instances"]
    )
    with path.open("wb") as file:
        _write_list(file.write, instances)


def _write_images(path: Path, rows: Iterator[Row], card: Card) -> None:
    """A COCO data set without annotations: the numbers and sizes of the pictures, and the categories."""
    images = (
        {"id": row.content["image_id"], "file_name": row.content["file"], **row.content["image"]}
        for row in _answers(rows)
    )
    categories = [{"id": label.category_id, "name": label.name} for label in card.labels]
    with path.open("wb") as file:
        file.write(b'{"info": {}, "annotations": [], "categories": %b, "images": ' % orjson.dumps(categories))
        _write_list(file.write, images)
        file.write(b"}\n")


def _write_list(write: Callable[[bytes], object], values: Iterable[Mapping[str, Any]]) -> None:
    separator = b"["
    for value in values:
        write(separator + orjson.dumps(value))
        separator = b",\n"
    write(b"[]\n" if separator == b"[" else b"]\n")


def _drop_label(instance: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in instance.items() if name != "label"}


def _write_parquet(path: Path, rows: Iterator[Row]) -> None:
    """A row for each picture; its instances are a list, and fields that a mask form lacks are null."""
    pyarrow, parquet = _import_pyarrow()
    schema = _make_schema(pyarrow)
    answers = (_flatten(row.content) for row in _answers(rows))
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := list(itertools.islice(answers, GROUP)):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _flatten(content: Mapping[str, Any]) -> dict[str, Any]:
    """The row with the height and width of the picture as columns."""
    return {**content, **content["image"]}


def _make_schema(pyarrow: Any) -> Any:
    text, whole, real = pyarrow.string(), pyarrow.int64(), pyarrow.float64()
    mask = {
        "size": pyarrow.list_(whole),
        "counts": text,
        "offset": pyarrow.list_(whole),
        "rings": pyarrow.list_(pyarrow.list_(whole)),
    }
    instance = {
        "label": text,
        "category_id": whole,
        "score": real,
        "bbox": pyarrow.list_(real),
        "area": whole,
        "segmentation": pyarrow.struct(mask.items()),
    }
    columns = {
        "file": text,
        "image_id": whole,
        "height": whole,
        "width": whole,
        "model": text,
        "version": text,
    }
    return pyarrow.schema({**columns, "instances": pyarrow.list_(pyarrow.struct(instance.items()))}.items())


def _import_pyarrow() -> tuple[Any, Any]:
    """Raises InvalidOption where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise InvalidOption(f"Parquet needs the extra `batch` ({error}): choose .jsonl or .json") from error
    return pyarrow, pyarrow.parquet


WRITERS: Mapping[str, Write] = MappingProxyType(
    {".json": _write_coco, ".jsonl": _write_json_lines, ".parquet": _write_parquet}
)

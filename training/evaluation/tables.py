"""Evaluations as Markdown tables, also inside a README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.inference.card import ArtifactFile
from training.evaluation.evaluate import COLUMNS, Evaluation, tabulate


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one file; differences: the largest |difference| from the reference, by head."""

    file: ArtifactFile
    differences: Mapping[str, float]
    milliseconds: float
    evaluation: Evaluation

    def to_json(self) -> dict[str, Any]:
        return {
            "runtime": self.file.runtime,
            "precision": self.file.precision,
            "differences": dict(self.differences),
            "milliseconds": self.milliseconds,
            "bytes": self.file.all_bytes,
            "evaluation": self.evaluation.to_json(),
        }


def draw_rows(rows: Sequence[Row]) -> str:
    """Markdown: APs in percent, and their differences from the first row."""
    heads = list(rows[0].differences)
    titles = [
        "runtime", "precision", *(f"{head}, max diff" for head in heads),
        "mask AP", "mask AP50", "box AP", "ms", "MB",
    ]  # fmt: skip
    return _draw_table(titles, [_draw_row(row, rows[0]) for row in rows])


def _draw_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _draw_row(row: Row, first: Row) -> list[str]:
    figures = [(each.masks.ap, each.masks.ap50, each.boxes.ap) for each in (row.evaluation, first.evaluation)]
    return [
        row.file.runtime,
        row.file.precision,
        *(f"{difference:.2g}" for difference in row.differences.values()),
        *(f"{100 * own:.2f} ({100 * (own - other):+.2f})" for own, other in zip(*figures, strict=True)),
        f"{row.milliseconds:.1f}",
        f"{row.file.all_bytes / 1e6:.2f}",
    ]


def draw_categories(evaluation: Evaluation) -> str:
    """Markdown: a row for each category, for the means, and for each of COCO's object sizes."""
    categories, mean, sizes = tabulate(evaluation)
    return _draw_table(COLUMNS, [*categories, ["**mean**", *mean[1:]], *sizes])


def fill_marks(text: str, tables: Mapping[str, str]) -> str:
    """The text with each table between its marks; tables without marks are ignored.

    >>> fill_marks("<!-- files -->old<!-- /files -->", {"files": "new"})
    '<!-- files -->\\nnew\\n<!-- /files -->'
    """
    for name, table in tables.items():
        opening, closing = f"<!-- {name} -->", f"<!-- /{name} -->"
        head, found, rest = text.partition(opening)
        _, closed, tail = rest.partition(closing)
        if found and closed:
            text = f"{head}{opening}\n{table}\n{closing}{tail}"
    return text

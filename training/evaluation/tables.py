"""Figures as Markdown tables, and the place that they have in a README."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.inference.card import ArtifactFile
from training.evaluation.evaluate import COLUMNS, Verdict, tabulate


@dataclass(frozen=True, slots=True)
class Row:
    """One file; `differences` are the largest |difference| from the reference, by head."""

    file: ArtifactFile
    differences: Mapping[str, float]
    milliseconds: float
    verdict: Verdict

    def to_json(self) -> dict[str, Any]:
        return {
            "runtime": self.file.runtime,
            "precision": self.file.precision,
            "differences": dict(self.differences),
            "milliseconds": self.milliseconds,
            "bytes": self.file.bytes,
            "verdict": self.verdict.to_json(),
        }


def draw_rows(rows: Sequence[Row]) -> str:
    """Markdown; APs in percent, and their difference from the first row's."""
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
    figures = [(each.masks.ap, each.masks.ap50, each.boxes.ap) for each in (row.verdict, first.verdict)]
    return [
        row.file.runtime,
        row.file.precision,
        *(f"{difference:.2g}" for difference in row.differences.values()),
        *(f"{100 * own:.2f} ({100 * (own - other):+.2f})" for own, other in zip(*figures, strict=True)),
        f"{row.milliseconds:.1f}",
        f"{row.file.bytes / 1e6:.2f}",
    ]


def draw_categories(verdict: Verdict) -> str:
    """Markdown: a row per category, one for the means, and one for each of COCO's sizes."""
    categories, mean, sizes = tabulate(verdict)
    return _draw_table(COLUMNS, [*categories, ["**mean**", *mean[1:]], *sizes])


def fill_marks(text: str, tables: Mapping[str, str]) -> str:
    """The text with each table between its marks; a table without marks is left out.

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

import pytest
from starlette.exceptions import HTTPException

from service.rest.formats import COCO_RESULTS, CUTOUT, JSON, LABEL_MAP, ZIP, choose_format


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json; charset=utf-8", JSON),
        ("application/json;indent=2", JSON),
        ("text/html, image/png;level=1;q=0.5", "image/png"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", JSON),  # a browser
        ("application/json, text/plain, */*", JSON),  # axios
        (COCO_RESULTS, COCO_RESULTS),
        ("Image/PNG", "image/png"),
        ("image/*", "image/png"),
        ("image/*;q=0.5, image/jpeg", "image/jpeg"),
        ("image/png;q=0.1, image/jpeg;q=0.2", "image/jpeg"),
        ("image/png;q=0, */*", JSON),
        ("application/json;q=0, */*", COCO_RESULTS),
        ("text/csv, image/jpeg;q=0.001", "image/jpeg"),
        ("image/png;type=labelmap", LABEL_MAP),
        ('image/png; q=0.5; Type="LabelMap"', LABEL_MAP),
        ("image/png;q=0.5, image/png;type=labelmap", LABEL_MAP),
        ("image/png, image/png;type=labelmap;q=0.5", "image/png"),
        ("image/png;type=cutout", CUTOUT),
        ("application/zip, */*;q=0.1", ZIP),
    ],
)
def test_the_most_liked_format_is_chosen(accept: str | None, chosen: str) -> None:
    assert choose_format(accept) == chosen


@pytest.mark.parametrize(
    "accept",
    ["text/html", "image/webp", "*/*;q=0", "image/png;q=much", "image/png;type=unheard-of", "nonsense", ","],
)
def test_what_cannot_be_given_is_not_acceptable(accept: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        choose_format(accept)
    assert refusal.value.status_code == 406

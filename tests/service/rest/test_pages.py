"""The page's files as they are served."""

import re
from collections import Counter
from pathlib import Path

import httpx
import pytest

from service.rest.pages import ASSETS, FOLDER, MEDIA_TYPES, read_assets

ADDRESS = re.compile(r"""(?:href|src)="(?!#|docs"|openapi.json|\./)([^"]+)\"""")
IMPORT = re.compile(r"""from "\./([\w.]+)";""")
PAGES = ("index.html", "docs.html")
TEXTS = [path for path in ASSETS if not path.endswith((".jpg", ".png"))]


@pytest.mark.parametrize("page", PAGES)
def test_no_two_elements_of_a_page_have_the_same_id(page: str) -> None:
    found = Counter(re.findall(r"""\bid="([^"]+)\"""", (FOLDER / page).read_text()))
    assert [name for name, times in found.items() if times > 1] == []


async def test_the_page_is_at_the_root(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (FOLDER / "index.html").read_text()


@pytest.mark.parametrize("path", ASSETS)
async def test_every_file_comes_with_its_type_and_the_policy(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/page/{path}")
    assert answer.content == (FOLDER / path).read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES[Path(path).suffix]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_a_file_held_already_is_not_sent_again(client: httpx.AsyncClient) -> None:
    etag = (await client.get("/")).headers["etag"]
    for held in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = await client.get("/", headers={"if-none-match": held})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await client.get("/", headers={"if-none-match": '"other"'})).status_code == 200


async def test_head_tells_the_length_without_the_body(client: httpx.AsyncClient) -> None:
    answer = await client.head("/")
    assert answer.content == b""
    assert int(answer.headers["content-length"]) == (FOLDER / "index.html").stat().st_size


@pytest.mark.parametrize(
    "path",
    ["/page/", "/page/nothing.js", "/page/samples/SOURCES.md", "/page/../server.py", "/page/%2e%2e/app.py"],
)
async def test_nothing_but_the_pages_files_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_page_cannot_be_posted_to(client: httpx.AsyncClient) -> None:
    assert (await client.post("/", content=b"x")).status_code == 405


def test_whatever_the_page_refers_to_is_there() -> None:
    addresses = [path for page in PAGES for path in ADDRESS.findall(ASSETS[page].body.decode())]
    assert len(addresses) > 10
    assert {address.removeprefix("page/") for address in addresses} <= set(ASSETS)
    imported = {f"js/{name}" for path in TEXTS for name in IMPORT.findall(ASSETS[path].body.decode())}
    assert {path for path in ASSETS if path.endswith(".js")} == imported | {
        "js/main.js",
        "js/docs.js",
        "js/types.js",
    }


@pytest.mark.parametrize("path", TEXTS)
def test_no_file_names_another_host(path: str) -> None:
    text = ASSETS[path].body.decode().replace("http://www.w3.org/2000/svg", "")
    assert not re.findall(r"https?://\S+", text)


def test_the_whole_page_weighs_less_than_a_photo() -> None:
    assert sum(len(asset.body) for asset in ASSETS.values()) < 300_000


def test_files_of_other_kinds_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    (tmp_path / "js" / "a.js").write_text("1")
    (tmp_path / "notes.md").write_text("2")
    assert list(read_assets(tmp_path)) == ["js/a.js"]

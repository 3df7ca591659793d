import pytest

from loadtest import generators


async def test_every_client_has_a_row_with_a_cost_for_every_photo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("_WARM", "_COUNT", "_ROUNDS"):
        monkeypatch.setattr(generators, name, 2)
    await generators.main()
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head == "| client | 1 kB photo | 150 kB photo |"
    assert [row.split(" | ")[0].strip("| ") for row in rows] == list(generators.CLIENTS)
    assert all(float(cell.split()[0]) > 0 for row in rows for cell in row.strip("| ").split(" | ")[1:])


async def test_a_client_that_is_refused_measures_nothing() -> None:
    with pytest.raises(ConnectionError, match="refused"):
        async with generators.open_rest((1, 1)) as send:
            await generators.measure(send, b"")

import pytest

from loadtest.fake import read_ports


def test_ports_are_free_ones_unless_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_ports([]) == (0, 0)
    assert read_ports(["8000"]) == (8000, 0)
    assert read_ports(["8000", "8001"]) == (8000, 8001)
    with pytest.raises(SystemExit) as end:
        read_ports(["--help"])
    assert end.value.code == 0
    assert "computes nothing" in capsys.readouterr().out

import ctypes
import sys

import psutil
import pytest

from service.compute.models import release_memory


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc"
)
def test_what_was_freed_between_what_is_kept_goes_back_to_the_system() -> None:
    process = psutil.Process()
    blocks = [bytes(60_000) + b"x" for _ in range(2000)]  # written to: 120 MB, too small to be mapped
    kept = blocks[::20]
    full = process.memory_info().rss
    del blocks
    release_memory()
    assert process.memory_info().rss < full - 60 * 2**20
    assert len(kept) == 100

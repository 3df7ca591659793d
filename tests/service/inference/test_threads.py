import subprocess
import sys

import pytest

COUNT_THREADS = """
import os, {module}, cv2, numpy
numpy.ones((900, 900)) @ numpy.ones((900, 900))
cv2.resize(numpy.ones((2000, 2000, 3), numpy.uint8), (900, 900))
print(len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_matrices_and_pictures_are_worked_on_by_the_thread_that_asks() -> None:
    program = [sys.executable, "-c", COUNT_THREADS.format(module="service.inference.segmenter")]
    assert subprocess.run(program, capture_output=True, check=True, text=True).stdout == "1\n"

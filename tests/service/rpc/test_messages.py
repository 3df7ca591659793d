"""Rendering takes place in compute processes, to which a reference to the function is sent."""

import pickle
import subprocess
import sys

import pytest

from service.rpc import messages


@pytest.mark.parametrize("name", ["render_answer", "render_reply", "render_stream_reply"])
def test_a_process_that_renders_loads_neither_grpc_nor_the_engine(name: str) -> None:
    sent = pickle.dumps(getattr(messages, name)).hex()
    program = f"import pickle, sys; pickle.loads(bytes.fromhex('{sent}')); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"grpc", "service.serving.engine", "fastapi"} & set(done.stdout.split())

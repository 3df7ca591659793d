"""python -m tests.fuzz: thousands of bodies, headers, options and protobuf frames that nobody should send."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.serving.conftest import Service
from tests.fuzz.campaign import fuzzed_service, list_faults, measure, run_round

ROUNDS = 4
EXPECTED = Path(__file__).with_name("schemathesis.toml")
MOST_GROWTH = 0.15  # of resident memory from the second round to the last: what was large last stays a while
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection"
)


def main() -> int:
    """Exit code: 0 nothing found, 1 something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round (default: %(default)s)")
    parser.add_argument(
        "--described", type=int, default=100, help="cases of each operation that schemathesis makes; 0: none"
    )
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, fuzzed_service(Path(folder) / "log") as service:
        sound = fuzz(service, words.count, first=words.seed)
        if words.described:
            sound &= follow_description(service, words.described)
        sound &= judge(service)
    return 0 if sound else 1


def fuzz(service: Service, count: int, *, first: int) -> bool:
    """All rounds, one line each; whether memory, descriptors and threads stayed."""
    said, uses = Counter[str](), []
    for number in range(ROUNDS):
        began = time.perf_counter()
        said += run_round(service, count // ROUNDS, number=first + number)
        uses.append(measure(service))
        print(f"round {number + 1}: {time.perf_counter() - began:.0f} s, {uses[-1]}", flush=True)
    for what, times in sorted(said.items()):
        print(f"{times:7} {what}")
    growth = uses[-1].resident_mb / uses[1].resident_mb - 1
    print(f"{said.total()} cases; memory grew by {100 * growth:.1f} % after the second round")
    return growth < MOST_GROWTH and uses[-1].descriptors <= uses[1].descriptors + 5


def follow_description(service: Service, count: int) -> bool:
    """Whether schemathesis finds the service as its OpenAPI description has it."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(EXPECTED)]
    command += ["run", f"{service.url}/openapi.json"]
    command += ["--checks", CHECKS, "--max-examples", str(count), "--seed", "1", "--no-color"]
    return subprocess.run(command).returncode == 0


def judge(service: Service) -> bool:
    """Whether the process lives and has nothing to complain of."""
    faults = list_faults(service)
    for fault in faults[:5]:
        print("fault:", fault)
    alive = service.process.poll() is None
    print(f"{'alive' if alive else 'DEAD'}, {len(faults)} faults in its log")
    return alive and not faults


if __name__ == "__main__":
    sys.exit(main())

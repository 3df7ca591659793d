"""python -m tests.fuzz: thousands of requests that nobody should send, and a soak of hostile and good ones.

The service may refuse them, or say "not now" (503). That a deadline has passed (504, DEADLINE_EXCEEDED) is
taken from it only where the request itself set one; any other 5xx is a fault.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.e2e.serving.conftest import Service, running
from tests.fuzz.campaign import fuzzed_service, list_faults, measure, run_round
from tests.fuzz.description import follow_description
from tests.fuzz.soak import soak

ROUNDS = 4
MOST_GROWTH = 0.08  # of resident memory from the second round to the last; 0.03 to 0.05 is what is found


def main() -> int:
    """Exit code: 0 nothing found, 1 something."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="cases (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first round (default: %(default)s)")
    parser.add_argument(
        "--described", type=int, default=100, help="cases of each operation that schemathesis makes; 0: none"
    )
    parser.add_argument(
        "--soak", type=float, default=600, help="seconds of hostile inputs beside good requests; 0: none"
    )
    words = parser.parse_args()
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        if words.count or words.described:
            with fuzzed_service(Path(folder) / "log") as service:
                sound = fuzz(service, words.count, first=words.seed)
                if words.described:
                    sound &= follow_description(service, words.described)
                sound &= judge(service)
        if words.soak:
            # Streams that say nothing end soon, so that they are no rest for the good requests.
            with running(Path(folder) / "soak-log", HEAD_S=2) as service:
                service.wait_for("ready")
                sound &= soak(service, words.soak) & judge(service)
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

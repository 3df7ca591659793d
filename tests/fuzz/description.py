"""The service beside its own OpenAPI description, by schemathesis."""

import os
import subprocess
import sys

from tests.e2e.serving.conftest import ROOT, Service

HOOKS = "tests.fuzz.hooks"
CHECKS = (
    "no_fault,status_code_conformance,content_type_conformance,response_headers_conformance,"
    "response_schema_conformance,negative_data_rejection"
)


def follow_description(service: Service, count: int) -> bool:
    """Whether the service is as its description has it: the corners, and so many cases of each operation."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{service.url}/openapi.json"]
    command += ["--checks", CHECKS, "--max-examples", str(count), "--seed", "1", "--no-color"]
    command += ["--suppress-health-check", "all", "--request-timeout", "60"]  # of busy machines
    return subprocess.run(command, cwd=ROOT, env=os.environ | {"SCHEMATHESIS_HOOKS": HOOKS}).returncode == 0

"""Write service/rpc/generated/ from the .proto files: `python proto/generate.py [FOLDER]`.

protoc writes absolute imports of the proto package (`from blitzmask.v1 import ...`), which does not exist
inside `service`. This script rewrites the imports; the descriptors keep their public names.
"""

import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc  # type: ignore[import-untyped]

PROTO = Path(__file__).parent
GENERATED = PROTO.parent / "service" / "rpc" / "generated"
PACKAGE = "service.rpc.generated"
IMPORT = re.compile(r"^from (?:[\w.]+) import (\w+_pb2)", re.MULTILINE)


def generate(target: Path) -> None:
    """Messages, stubs and their types for every .proto file, in `target`, one flat folder."""
    sources = sorted(PROTO.glob("*/**/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        outputs = [f"--{kind}_out={scratch}" for kind in ("python", "grpc_python", "pyi")]
        if protoc.main(["protoc", f"-I{PROTO}", *outputs, *map(str, sources)]) != 0:
            raise SystemExit("protoc refused the .proto files; it says why above")
        for path in sorted(Path(scratch).glob("**/*.py*")):
            (target / path.name).write_text(localise(path.read_text()))


def localise(code: str) -> str:
    """The generated code with imports of its siblings that work inside the package.

    >>> localise("from blitzmask.v1 import segmentation_pb2 as a\\nfrom google.protobuf import any_pb2 as b")
    'from service.rpc.generated import segmentation_pb2 as a\\nfrom google.protobuf import any_pb2 as b'
    """
    return IMPORT.sub(
        lambda found: (
            found[0] if found[0].startswith("from google.") else f"from {PACKAGE} import {found[1]}"
        ),
        code,
    )


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else GENERATED)

"""`trim.py FLAVOUR VENV MODELS`: takes out of an image what its service never loads, and prints what is left.

The Dockerfile runs it while it builds an image. The files of a package that it deletes are those that the
package's own import does not need; `make image-test` shows that the service answers without them.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

# The packages of service.lock that a flavour leaves out, and the model files that it cannot read.
_TOOLS = ("backports-strenum", "ml-dtypes", "tqdm")  # of LiteRT's converters
_LITERT = ("ai-edge-litert", *_TOOLS)
_ONNX = ("onnxruntime",)
PACKAGES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "onnx": _LITERT,
        "tflite": (*_ONNX, *_TOOLS),
        "cpu": _TOOLS,
        "gpu": _LITERT,
        "openvino": (*_LITERT, *_ONNX, "openvino-telemetry"),
    }
)
MODELS: Mapping[str, str] = MappingProxyType(
    {"onnx": "*.tflite", "tflite": "*.onnx", "cpu": "", "gpu": "*.tflite", "openvino": "*.tflite"}
)
UNUSED = (
    "**/tests",
    "**/*.pyi",
    "**/*.pxd",
    "pygments/lexers/__pycache__",
    "pygments/styles/__pycache__",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/_core/_*tests*.so",
    "numpy/_core/_simd.*.so",  # only numpy's own tests load it
    "numpy/distutils",
    "numpy/doc",
    "numpy/f2py",
    "onnxruntime/backend",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "onnxruntime/capi/libonnxruntime.so.*",  # for C programs; the Python module is complete in itself
    "ai_edge_litert/libLiteRt*.so",  # of its second API and its GPU; the interpreter needs neither
    "ai_edge_litert/tools",
    "ai_edge_litert/vendors",
    "cv2/data",  # cascades for face detection
)
MEGABYTE = 1_000_000


def uninstall_packages(flavour: str, venv: Path) -> None:
    """Uninstall the packages that the flavour leaves out."""
    if names := PACKAGES[flavour]:
        python = str(venv / "bin" / "python")
        pip = [sys.executable, "-m", "pip", "--python", python, "uninstall", "--quiet"]
        subprocess.run([*pip, "--yes", *names], check=True)


def delete_models(flavour: str, models: Path) -> None:
    """Delete the model files that the flavour's runtime cannot read."""
    if pattern := MODELS[flavour]:
        for file in models.glob(f"*/{pattern}"):
            file.unlink()


def delete_unused(site: Path) -> None:
    """Delete what no import of the service needs."""
    for pattern in UNUSED:
        for path in list(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def share_lapack(site: Path) -> None:
    """Let OpenCV use the system's LAPACK in place of its own copy of OpenBLAS, 42 MB.

    The service calls no function of OpenCV that solves equations, so their speed does not matter.
    """
    libraries = site / "opencv_python_headless.libs"
    for module in (site / "cv2").glob("cv2*.so"):
        for own in libraries.glob("libopenblas*"):
            replace = ["patchelf", "--replace-needed", own.name, "liblapack.so.3"]
            subprocess.run([*replace, "--add-needed", "libblas.so.3", module], check=True)
            own.unlink()
    for pattern in ("libgfortran*", "libquadmath*"):
        for own in libraries.glob(pattern):
            own.unlink()


def strip_symbols(site: Path) -> None:
    """Take the symbols for debuggers out of the extension modules."""
    for module in site.glob("uvloop/*.so"):
        subprocess.run(["strip", "--strip-unneeded", module], check=True)


def link_cuda(venv: Path, site: Path) -> None:
    """Links to the CUDA libraries of NVIDIA's packages in the folder that the image's LD_LIBRARY_PATH names.

    Each package has a folder of its own for them, where ONNX Runtime does not look.
    """
    for library in site.glob("nvidia/**/*.so*"):
        (venv / "cuda").mkdir(exist_ok=True)
        (venv / "cuda" / library.name).symlink_to(library)


def measure_parts(site: Path, models: Path) -> Iterator[tuple[str, float]]:
    """The name and the megabytes of each part, the largest first; smaller ones together are "others"."""
    sizes = {path.name: _measure(path) for path in site.iterdir()} | {"models": _measure(models)}
    large = {name: size for name, size in sizes.items() if size >= 1}
    yield from sorted(large.items(), key=lambda part: -part[1])
    yield "others", sum(sizes.values()) - sum(large.values())


def _measure(path: Path) -> float:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(file.lstat().st_size for file in files) / MEGABYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("flavour", choices=sorted(PACKAGES))
    parser.add_argument("venv", type=Path)
    parser.add_argument("models", type=Path)
    given = parser.parse_args()
    (site,) = given.venv.glob("lib/python3*/site-packages")
    uninstall_packages(given.flavour, given.venv)
    delete_models(given.flavour, given.models)
    delete_unused(site)
    share_lapack(site)
    strip_symbols(site)
    link_cuda(given.venv, site)
    for name, megabytes in measure_parts(site, given.models):
        sys.stdout.write(f"{megabytes:7.1f} MB  {name}\n")


if __name__ == "__main__":
    main()

"""The command line: what may be typed, and one clear line for what may not."""

import argparse
from pathlib import Path
from typing import NoReturn

from loadtest.readers import identities, list_of, number, whole
from service.settings import models_folder

_MOST_CLIENTS = 1024
_HIGHEST_RATE = 100_000.0
_DAY = 86_400.0


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and ends with 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"loadtest: {message}\n")


def build_parser() -> Parser:
    """The parser of all commands; the parsed `command` is the one to run."""
    parser = Parser(prog="python -m loadtest", description="Load tests of a segmentation server.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    load = (_add_server, _add_photos, _add_run, _add_report)
    for name, parts, explanation in (
        ("closed", (*load, _add_closed), "N clients, each sends when it has its answer"),
        ("open", (*load, _add_open), "requests at a rate, whether answered or not"),
        ("ramp", (*load, _add_ramp), "the highest rate that keeps a goal"),
        ("soak", (*load, _add_soak), "a closed loop for hours, and what grows meanwhile"),
        ("streams", (*load, _add_streams), "cameras over gRPC"),
        ("compare", (_add_photos, _add_run, _add_report, _add_compare), "two servers in turns"),
        ("accuracy", (_add_server, _add_run, _add_report, _add_accuracy), "a labelled set: AP with speed"),
        ("stages", (_add_report, _add_stages), "each stage by itself, without a server"),
        ("suite", (_add_report, _add_suite), "all claims of this product, against a server of its own"),
    ):
        command = commands.add_parser(name, help=explanation, description=explanation)
        for add in parts:
            add(command)
    return parser


def _add_photos(parser: Parser) -> None:
    parser.add_argument(
        "--image",
        type=Path,
        metavar="FILE|FOLDER",
        help="a photo, or a folder of them as a mix (default: three samples of 1280x720)",
    )


def _add_server(parser: Parser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--url", default="http://127.0.0.1:8000", help="REST server, http or https (default: %(default)s)"
    )
    where.add_argument(
        "--grpc", metavar="HOST:PORT", help="gRPC server, instead of --url; with TLS, grpcs://HOST:PORT"
    )
    parser.add_argument("--model", help="model to ask for (default: the server's)")
    parser.add_argument("--masks", choices=("rle", "none"), default="rle", help="(default: rle)")
    parser.add_argument("--score-threshold", type=number(0, 1), metavar="S", help="(default: the model's)")
    parser.add_argument("--max-instances", type=whole(1, 100_000), metavar="N", help="(default: the model's)")
    parser.add_argument(
        "--protocol",
        choices=("native", "oip"),
        default="native",
        help="the service's own, or the Open Inference Protocol v2, which needs --model (default: native)",
    )
    parser.add_argument(
        "--metrics", metavar="URL", help="the server's Prometheus page (default: /metrics of --url)"
    )


def _add_run(parser: Parser) -> None:
    _add_credentials(parser)
    parser.add_argument("--allow-remote", action="store_true", help="put load on another machine")
    parser.add_argument(
        "--duration", type=number(0.1, 7 * _DAY), default=10.0, help="seconds of each row (default: 10)"
    )
    parser.add_argument(
        "--warmup", type=number(0, _DAY), default=1.0, help="seconds before each row (default: 1)"
    )
    parser.add_argument(
        "--max-requests", type=whole(1, 10**9), default=10**7, metavar="N", help="of each row at most"
    )
    parser.add_argument(
        "--timeout", type=number(0.01, 3600), default=30.0, help="seconds a client waits (default: 30)"
    )
    parser.add_argument(
        "--floor",
        choices=("processes", "threads", "alone", "none"),
        default="processes",
        help="the in-process floor: one process or thread per core, or all cores for one image "
        "(default: processes)",
    )
    parser.add_argument("--models", type=Path, default=models_folder(), help="the server's model folder")


def _add_credentials(parser: Parser) -> None:
    parser.add_argument("--key", metavar="KEY|@FILE", help="API key to show to the server")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="authorities to trust, for https and grpcs")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="own certificate, where one is asked for")
    parser.add_argument("--cert-key", type=Path, metavar="FILE", help="its key, if that is not in it")


def _add_report(parser: Parser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as JSON")
    parser.add_argument(
        "--report", type=Path, metavar="FOLDER", help="write report.html, .md, .png and .json there"
    )


def _add_closed(parser: Parser) -> None:
    parser.add_argument(
        "--concurrency",
        type=list_of(whole(1, _MOST_CLIENTS)),
        default=(1, 4, 16),
        metavar="N,...",
        help="numbers of clients, one row each (default: 1,4,16)",
    )


def _add_open(parser: Parser) -> None:
    parser.add_argument(
        "--rate",
        type=list_of(number(0.01, _HIGHEST_RATE)),
        required=True,
        metavar="R,...",
        help="requests per second, one row each",
    )
    _add_arrivals(parser)


def _add_ramp(parser: Parser) -> None:
    parser.add_argument("--p99", type=number(0.1, 1e6), default=200.0, help="goal in ms (default: 200)")
    parser.add_argument(
        "--errors", type=number(0, 1), default=0.001, help="share that may fail (default: 0.001)"
    )
    parser.add_argument("--steps", type=whole(1, 20), default=6, help="rates to try (default: 6)")
    _add_arrivals(parser)


def _add_arrivals(parser: Parser) -> None:
    parser.add_argument(
        "--arrivals", choices=("poisson", "constant"), default="poisson", help="(default: poisson)"
    )


def _add_soak(parser: Parser) -> None:
    _add_clients(parser)
    parser.add_argument(
        "--mixed",
        action="store_true",
        help="photos of many sizes for all models of the server, broken ones, and a model that is not there",
    )
    parser.set_defaults(duration=3600.0)


def _add_clients(parser: Parser) -> None:
    parser.add_argument(
        "--concurrency", type=whole(1, _MOST_CLIENTS), default=4, metavar="N", help="clients (default: 4)"
    )


def _add_streams(parser: Parser) -> None:
    parser.add_argument(
        "--streams",
        type=list_of(whole(1, _MOST_CLIENTS)),
        default=(1, 4, 8),
        metavar="N,...",
        help="numbers of cameras, one row each (default: 1,4,8)",
    )
    parser.add_argument(
        "--fps", type=number(0, 1000), default=30.0, help="of each; 0: all that go (default: 30)"
    )
    parser.add_argument("--policy", default="latest", help="latest or all frames (default: latest)")


def _add_compare(parser: Parser) -> None:
    address = (
        "http(s)://HOST:PORT or grpc(s)://HOST:PORT, oip+ before it for that protocol, "
        "with ?model=...&masks=...&score_threshold=... if wanted"
    )
    parser.add_argument("a", metavar="A", help=address)
    parser.add_argument("b", metavar="B", help="the same; the ratios are B over A")
    parser.add_argument("--rounds", type=whole(2, 1000), default=10, help="(default: 10)")
    _add_clients(parser)
    parser.set_defaults(duration=2.0, warmup=0.5)


def _add_accuracy(parser: Parser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="FILE", help="a COCO file")
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="its images (default: `images` beside the file)"
    )
    parser.add_argument(
        "--categories", type=identities, metavar="IDS", help="of the means, as 1-16,20 (default: all)"
    )
    _add_clients(parser)
    parser.set_defaults(duration=_DAY, warmup=0.0, score_threshold=0.01, max_instances=100)


def _add_suite(parser: Parser) -> None:
    parser.add_argument(
        "--quick",
        action="store_true",
        help="in under 5 minutes: shorter loads, and of the soak's 20,000 requests as many as go in 20 s",
    )
    parser.add_argument("--models", type=Path, default=models_folder(), help="folder of models")


def _add_stages(parser: Parser) -> None:
    parser.add_argument("--models", type=Path, default=models_folder(), help="folder of models")
    parser.add_argument("--model", help="its name (default: the first)")
    parser.add_argument(
        "--duration", type=number(0.001, 60), default=1.0, help="seconds of each line (default: 1)"
    )

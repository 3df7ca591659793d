"""The command `camera`: what a camera client is asked for in words."""

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console


def camera(
    source: Annotated[
        str,
        typer.Argument(
            help="A webcam's number, an rtsp:// or http:// address, a video file, or a folder of images.",
            show_default=False,
        ),
    ],
    server: Annotated[
        str, typer.Option(help="Host and port of the server's gRPC; with TLS grpcs://HOST:PORT.")
    ] = "localhost:8001",
    key: Annotated[str | None, typer.Option(help="Key to show to the server, or @FILE that has it.")] = None,
    ca: Annotated[Path | None, typer.Option(help="Authorities to trust, PEM. Unset: the system's.")] = None,
    cert: Annotated[Path | None, typer.Option(help="Certificate to show to the server, PEM.")] = None,
    cert_key: Annotated[Path | None, typer.Option(help="Its private key, PEM. Unset: in --cert.")] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            help="jsonl (standard output), video (SOURCE-annotated.mp4), a file.jsonl, a file.mp4, or "
            "an MQTT broker's address; several by several --out. Default: "
            "jsonl; on a terminal only the status line.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What MQTT calls the camera. Unset: after its source.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Every frame of a file, as fast as the server answers.")
    ] = False,
    track: Annotated[bool, typer.Option(help="Give instances identities that last across frames.")] = True,
    masks: Annotated[bool, typer.Option(help="Without masks, answers have boxes only.")] = True,
    max_fps: Annotated[float | None, typer.Option(help="Frames a second, at most. Unset: no limit.")] = None,
    model: Annotated[str | None, typer.Option(help="Unset: the server's default model.")] = None,
    version: Annotated[str | None, typer.Option(help="Unset: the model's newest.")] = None,
    score_threshold: Annotated[float | None, typer.Option(help="0 to 1. Unset: the model's.")] = None,
    max_instances: Annotated[int | None, typer.Option(help="Unset: the model's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Labels to keep, separated by commas.")] = None,
) -> None:
    r"""Send a camera or a video to a server; write what it finds as JSON lines, as a video, or to MQTT.

    An MQTT broker is mqtt://\[user:password@]host\[:port]\[/topic], with TLS mqtts://...\[?ca=FILE].
    """
    import asyncio

    from service.camera.link import Asked
    from service.camera.plan import CameraPlan, parse_source
    from service.camera.run import run_camera
    from service.camera.targets import default_outputs
    from service.client import Credentials
    from service.serving.streaming import StreamOptions
    from service.types import Options, split_labels

    taken = parse_source(source)
    policy: Literal["all", "latest"] = "all" if fast or not taken.timed else "latest"
    segment = Options(score_threshold, max_instances, split_labels(classes), "rle" if masks else "none")
    asked = Asked(StreamOptions(segment, policy, max_fps, track), model, version)
    plan = CameraPlan(
        taken, server, out or default_outputs(), asked, Credentials(key, ca, cert, cert_key), name
    )
    asyncio.run(run_camera(plan, Console(stderr=True)))

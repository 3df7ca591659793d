"""The command `camera`: its options."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def camera(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="A webcam's number or device (/dev/v4l/by-id/...), an rtsp:// or http:// address, a video "
            "file, or a folder of images. In an address, percent-encode / ? # @ of user name and password.",
            show_default=False,
        ),
    ],
    server: Annotated[
        str, typer.Option(help="Host and port of the server's gRPC; with TLS grpcs://HOST:PORT.")
    ] = "localhost:8001",
    key: Annotated[str | None, typer.Option(help="Key for the server, or @FILE that holds it.")] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Certificate authorities to trust, PEM. Unset: those of the system.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="The client's certificate, PEM, if the server asks for one.")
    ] = None,
    cert_key: Annotated[Path | None, typer.Option(help="Its private key, PEM. Unset: in --cert.")] = None,
    out: Annotated[
        list[str] | None,
        typer.Option(
            help="jsonl (answers to standard output), events (events to standard output), video "
            "(SOURCE-annotated.mp4), a file.jsonl, a file.events.jsonl, a file.mp4, a folder/ of snapshots, "
            "the http(s):// address of a webhook, or an MQTT broker's address. Repeat --out for several. "
            "Default: jsonl; on a terminal only the status line.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the camera in messages and MQTT topics. Unset: its source.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Read a recording as fast as the server answers.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a camera, server or broker that is not there yet.")
    ] = False,
    track: Annotated[bool, typer.Option(help="Give instances identities that last across frames.")] = True,
    masks: Annotated[bool, typer.Option(help="Without masks, answers have boxes only.")] = True,
    max_fps: Annotated[
        float | None, typer.Option(help="Highest number of frames per second. Unset: no limit.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Unset: the server's default model.")] = None,
    version: Annotated[str | None, typer.Option(help="Unset: the model's newest.")] = None,
    score_threshold: Annotated[float | None, typer.Option(help="0 to 1. Unset: the model's.")] = None,
    max_instances: Annotated[int | None, typer.Option(help="Unset: the model's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Labels to keep, separated by commas.")] = None,
    nms: Annotated[
        Literal["all", "class"],
        typer.Option(
            help="Of objects with nearly the same box, keep only the best: of all classes, or of each."
        ),
    ] = "all",
    zone: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[:CLASS,...][:SECONDSs]=X,Y X,Y X,Y ... in percent (50%,0%) or pixels (640,0)."
        ),
    ] = None,
    line: Annotated[
        list[str] | None, typer.Option(help="NAME[:CLASS,...][:in|:out]=X,Y X,Y: from its start to its end.")
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="X,Y X,Y X,Y ...: objects that stand there are not seen.")
    ] = None,
    min_area: Annotated[
        list[str] | None, typer.Option(help="[CLASS=]AREA in percent of the picture (1%) or pixels.")
    ] = None,
    min_time: Annotated[
        list[str] | None, typer.Option(help="[CLASS=]SECONDS in sight after which an object counts.")
    ] = None,
    anchor: Annotated[
        Literal["bottom", "centre"], typer.Option(help="The point of its box that stands for an object.")
    ] = "bottom",
    update: Annotated[
        float | None, typer.Option(help="Seconds between two events of an object in sight. Unset: none.")
    ] = None,
    webhook_secret: Annotated[
        str | None, typer.Option(help="Signs what webhooks receive, or @FILE that holds it.")
    ] = None,
) -> None:
    r"""Send a camera or a video to a server; write what it finds as JSON lines, as a video, or to MQTT.

    A camera skips the frames that come too fast; every frame of a file or a folder is answered. An MQTT
    broker is mqtt://\[user:password@]host\[:port]\[/topic], with TLS mqtts://...\[?ca=FILE]; the topics are
    topic/NAME/..., without a topic blitzmask/NAME/... Zones, lines and events: docs/events.md.
    """
    import asyncio

    from rich.console import Console

    from service.camera.places import SceneArguments, parse_scene, read_secret
    from service.camera.plan import CameraPlan, default_outputs, parse_source
    from service.camera.run import run_camera
    from service.camera.stream_client import StreamRequest
    from service.client import Credentials
    from service.errors import InvalidOption
    from service.serving.streaming import StreamOptions
    from service.types import Options, split_labels

    if context.args:  # typer's own message would show an address with its password
        raise InvalidOption("one command takes one source; start one command for each camera")
    parsed = parse_source(source)
    policy: Literal["all", "latest"] = "latest" if parsed.live and not fast else "all"
    segment = Options(
        score_threshold, max_instances, split_labels(classes), "rle" if masks else "none", nms=nms
    )
    places = SceneArguments(
        zone or (), line or (), ignore or (), min_area or (), min_time or (), anchor, update
    )
    plan = CameraPlan(
        parsed,
        server,
        out or default_outputs(),
        StreamRequest(StreamOptions(segment, policy, max_fps, track), model, version),
        Credentials(key, ca, cert, cert_key),
        name,
        paced=not fast,
        wait=wait,
        scene=parse_scene(places) if places.given else None,
        webhook_secret=read_secret(webhook_secret),
    )
    asyncio.run(run_camera(plan, Console(stderr=True)))

"""The command `batch`: its options."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def batch(
    place: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A folder, a picture, a pattern ('photos/*.jpg'), a tar or zip archive, a video, or one of "
            "these in an object store (s3://BUCKET/FOLDER).",
            show_default=False,
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            help="NAME.json for COCO results, NAME.jsonl for a JSON answer on each line, or NAME.parquet.",
            show_default=False,
        ),
    ],
    images_of: Annotated[
        Path | None,
        typer.Option(help="COCO data set: only its pictures, under its image ids. Unset: all, from 1."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Unset: the default model.")] = None,
    version: Annotated[str | None, typer.Option(help="Unset: the model's newest.")] = None,
    score_threshold: Annotated[float | None, typer.Option(help="0 to 1. Unset: the model's.")] = None,
    max_instances: Annotated[int | None, typer.Option(help="Unset: the model's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Labels to keep, separated by commas.")] = None,
    masks: Annotated[
        Literal["rle", "rle_crop", "polygon", "contour", "none"], typer.Option(help="Form of the masks.")
    ] = "rle",
    nms: Annotated[
        Literal["class", "all"],
        typer.Option(help="Of objects with nearly the same box keep the best: of each class, or of all."),
    ] = "class",
    tiles: Annotated[
        str | None,
        typer.Option(
            help="auto, or the most tiles into which a picture larger than the network's input is cut, so "
            "that small objects are found. Unset: no tiles."
        ),
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Compute on the Ray cluster of RAY_ADDRESS. Needs the extra ray.")
    ] = False,
) -> None:
    """Segment many pictures on all cores, without a server.

    A job that was stopped or killed continues when the same command is given again: what it has done is in
    OUTPUT.journal. Files that cannot be read are listed in NAME.failed.jsonl, and the exit status is then 1.
    NAME.images.json lists the pictures of COCO results.
    """
    import asyncio

    from rich.console import Console

    from service.batch.outputs import parse_output
    from service.batch.progress import Progress
    from service.batch.run import BatchPlan, run_batch
    from service.batch.sources import Source, read_ids
    from service.errors import BlitzError, InvalidOption
    from service.inference.resolved_options import parse_tiles
    from service.settings import read_settings
    from service.telemetry.logs import configure_logs
    from service.types import Options, split_labels

    settings = read_settings()
    configure_logs("warning", "console", sys.stderr)
    parsed = parse_output(output, masks)
    options = Options(
        score_threshold,
        max_instances,
        split_labels(classes),
        masks,
        exact=settings.exact,
        nms=nms,
        tiles=parse_tiles(tiles),
    )
    ids = None if images_of is None else read_ids(images_of)
    plan = BatchPlan(Source(place, settings.limits.max_bytes, ids), parsed, options, model, version)
    # No picture is alone, so no session with threads for all cores is needed.
    settings = settings.model_copy(update={"threads_alone": settings.threads})
    try:
        if parsed.is_there and not parsed.journal.exists():
            raise InvalidOption(f"{output} is there already: delete it to run the job again")
        progress = Progress(Console(stderr=True, soft_wrap=True))
        if ray:
            from service.batch.ray_data import run_on_ray

            bad = run_on_ray(plan, settings, progress)
        else:
            bad = asyncio.run(run_batch(plan, settings, progress))
    except OSError as error:
        raise BlitzError(f"{error}; the same command continues the job") from error
    if bad:
        sys.stderr.write(f"{bad} files could not be segmented: {parsed.failures} says why\n")
        raise typer.Exit(1)

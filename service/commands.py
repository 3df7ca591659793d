"""The commands: serve, predict, batch, camera, import, compare, models, doctor, key, settings.

Each command imports the heavy modules that it needs, so that `--help` answers at once.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from service import __version__
from service.batch.command import batch
from service.camera.command import camera
from service.compute.launch import close_ahead, take_ahead
from service.errors import BlitzError, InvalidOption, InvalidSetting, ModelNotFound
from service.importer.command import import_model

if TYPE_CHECKING:
    from service.serving.catalog import Catalog
    from service.types import Segmentation

FAILED, MISUSED = 1, 2
WATCH_S = 2.0

app = typer.Typer(
    help="BlitzMask Server: it finds objects in images, and their masks. Without a command, it serves.",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def run_command() -> None:
    """Run the command of this process's arguments; exits with status 1 or 2 for a mistake of the user."""
    try:
        app(prog_name="blitzmask")
    except (InvalidOption, InvalidSetting, ModelNotFound) as error:
        _complain(str(error))
        sys.exit(MISUSED)
    except BlitzError as error:
        _complain(str(error))
        sys.exit(FAILED)


def _print_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"blitzmask {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _default(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        serve()


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address that both ports listen on. Unset: BLITZ_HOST.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of REST and the page. Unset: BLITZ_HTTP_PORT.")
    ] = None,
    grpc_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of gRPC. Unset: BLITZ_GRPC_PORT.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Load models that are added to the models folder while serving.")
    ] = False,
) -> None:
    """Serve REST and gRPC until SIGTERM or Ctrl-C. Environment variables configure it: see `settings`."""
    from service.process.libraries import import_structlog

    import_structlog()
    from service.settings import read_settings

    settings = read_settings(host=host, http_port=port, grpc_port=grpc_port)
    if watch and not settings.watch_s:
        settings = settings.model_copy(update={"watch_s": WATCH_S})
    if settings.workers > 1:
        close_ahead()  # every worker launches its own
        from service.process.workers import run_workers

        raise typer.Exit(run_workers(settings))
    from service.process.start import run_server

    raise typer.Exit(run_server(settings, launched=take_ahead()))


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Overlay: a file for one image, else a folder. Missing folders are made."
        ),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Answer as JSON, as REST gives it; for several images a list, with paths."),
    ] = None,
    model: Annotated[str | None, typer.Option(help="Unset: the default model.")] = None,
    version: Annotated[str | None, typer.Option(help="Unset: the model's newest.")] = None,
    score_threshold: Annotated[float | None, typer.Option(help="0 to 1. Unset: the model's.")] = None,
    max_instances: Annotated[int | None, typer.Option(help="Unset: the model's.")] = None,
    classes: Annotated[str | None, typer.Option(help="Labels to keep, separated by commas.")] = None,
    masks: Annotated[
        Literal["rle", "rle_crop", "polygon", "contour", "none"],
        typer.Option(help="Form of the masks in the JSON."),
    ] = "rle",
    tiles: Annotated[
        str | None,
        typer.Option(
            help="auto, or the most tiles into which a picture larger than the network's input is cut, so "
            "that small objects are found. Unset: no tiles."
        ),
    ] = None,
    form: Annotated[
        Literal["coco", "yolo-seg", "labelme", "voc", "cvat"] | None,
        typer.Option("--format", help="Write files of this labelling format into --labels."),
    ] = None,
    labels: Annotated[Path, typer.Option(help="Folder for the files of --format.")] = Path("labels"),
    tolerance: Annotated[
        float,
        typer.Option(min=0, max=100, help="Pixels by which contours and outlines may leave a mask's edge."),
    ] = 1.0,
) -> None:
    """Segment image files without a server. A file that fails stops no other; the exit status is then 1."""
    from service.dialects.files import Style, name_pictures, write_annotations
    from service.doctor.tables import instances_table, print_table
    from service.inference.predict import plan_jobs, predict_file, write_json
    from service.inference.resolved_options import parse_tiles
    from service.types import Options, split_labels

    jobs = plan_jobs(images, output)
    options = Options(
        score_threshold,
        max_instances,
        split_labels(classes),
        masks,
        tolerance=tolerance,
        tiles=parse_tiles(tiles),
    )
    segmenter = _load_catalog().get(model, version)
    answers: list[tuple[Path, Segmentation]] = []
    for job in jobs:
        try:
            found = predict_file(job, segmenter, options)
        except InvalidOption:
            raise
        except (BlitzError, OSError) as error:
            _complain(f"{job.image}: {error}")
            continue
        answers.append((job.image, found))
        print_table(instances_table(job.image, found))
    if json is not None and answers:
        write_json(json, answers, several=len(jobs) > 1)
    if form is not None:
        style = Style(segmenter.card.labels, tolerance)
        write_annotations(labels, form, name_pictures(answers), style)
    raise typer.Exit(FAILED if len(answers) < len(jobs) else 0)


app.command()(batch)
app.command(context_settings={"allow_extra_args": True})(camera)
app.command("import")(import_model)


@app.command()
def compare(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of them.", show_default=False)],
    models: Annotated[
        str | None,
        typer.Option(
            help="Names or folders, separated by commas, each maybe with a runtime and a precision: "
            "a,b:int8,c:tflite:fp16. Unset: all models, as the service opens them."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The contact sheet, a JPEG or PNG file.")] = Path(
        "comparison.jpg"
    ),
    score_threshold: Annotated[float | None, typer.Option(help="0 to 1. Unset: each model's.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Of one inference. Unset: all cores.")] = None,
) -> None:
    """Compare models on photos: size, multiply-adds, known accuracy, and speed on this machine."""
    from service.doctor.comparison import Comparison, comparison_table, run_comparison
    from service.doctor.tables import print_table
    from service.serving.repository import Source
    from service.settings import read_settings
    from service.types import Options

    chosen = read_settings()
    _keep_output_clean()
    source = Source(chosen.models_dir, chosen.default_model, chosen.choice, chosen.limits)
    asked = Comparison(
        photos=tuple(photos),
        models=models,
        sheet=out,
        options=Options(score_threshold=score_threshold),
        threads=threads or chosen.threads * chosen.slots,
    )
    results = run_comparison(asked, source.find_folders())
    print_table(comparison_table(results))
    sys.stdout.write(f"the contact sheet is {out}\n")


@app.command()
def models() -> None:
    """List the models that can serve here, and why others cannot."""
    from service.doctor.tables import models_table, print_table

    catalog = _load_catalog()
    print_table(models_table(catalog.models()))
    for folder, reason in catalog.failures.items():
        _complain(f"{folder} cannot serve: {reason}")


@app.command()
def upgrade(
    folders: Annotated[
        list[Path], typer.Argument(help="Model folders, each with a card.json.", show_default=False)
    ],
) -> None:
    """Rewrite model cards of version 1 as version 2. Cards of version 1 serve without it."""
    from service.inference.upgrade import upgrade_card

    failed = False
    for folder in folders:
        try:
            done = "rewritten" if upgrade_card(folder) else "is of the newest version already"
        except BlitzError as error:
            failed = True
            _complain(str(error))
        else:
            sys.stdout.write(f"{folder}: {done}\n")
    raise typer.Exit(FAILED if failed else 0)


@app.command()
def doctor(
    json: Annotated[bool, typer.Option("--json", help="The findings as JSON on standard output.")] = False,
) -> None:
    """Examine this machine: runtimes, processor, cores, models and their speed; say what to install or set.

    The exit status is 1 where something that the settings ask for does not work.
    """
    from service.doctor.benchmark import measure_models
    from service.doctor.checks import examine, is_fit
    from service.doctor.hardware import read_hardware
    from service.doctor.tables import findings_table, findings_to_json, print_table
    from service.serving.repository import Source
    from service.settings import read_settings

    chosen = read_settings()
    _keep_output_clean()
    source = Source(chosen.models_dir, chosen.default_model, chosen.choice, chosen.limits)
    findings = examine(read_hardware(), chosen, list(measure_models(source)))
    if json:
        sys.stdout.write(findings_to_json(findings) + "\n")
    else:
        print_table(findings_table(findings))
    if not is_fit(findings):
        _complain("this machine cannot serve what the settings ask for: see the faults")
        raise typer.Exit(FAILED)


@app.command()
def key(
    name: Annotated[
        str, typer.Argument(help="Name of the key's owner in logs and metrics.", show_default=False)
    ],
    rate: Annotated[
        float, typer.Option(help="Requests and frames per second that it allows. 0: no limit.")
    ] = 0.0,
    stdin: Annotated[
        bool, typer.Option("--stdin", help="Take a key from standard input instead of making one.")
    ] = False,
) -> None:
    """Make a key, and the entry for BLITZ_API_KEYS or BLITZ_ADMIN_KEYS that accepts it."""
    from service.security.callers import hash_key, make_key, parse_key

    made = sys.stdin.readline().strip() if stdin else make_key()
    if not made:
        raise InvalidOption("standard input has no key in its first line")
    try:
        entry = parse_key(f"{name}:{hash_key(made)}" + (f":{rate}" if rate else ""))
    except ValueError as error:
        raise InvalidOption(f"key {name}: {error}") from error
    shown = "" if stdin else f"key    {made}\n"
    sys.stdout.write(f"{shown}entry  {entry}\n")


@app.command()
def settings(
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write docs/settings.md to standard output instead.")
    ] = False,
) -> None:
    """List every setting: environment variable, value in effect, meaning."""
    if markdown:
        from service.settings_reference import write_reference

        sys.stdout.write(write_reference())
        return
    from service.doctor.tables import print_table, settings_table
    from service.settings import describe_settings, read_settings

    print_table(settings_table(describe_settings(read_settings())))


def _load_catalog() -> "Catalog":
    """The models, opened to segment one image at a time on all cores."""
    from service.serving.catalog import Catalog
    from service.settings import read_settings

    chosen = read_settings()
    _keep_output_clean()
    choice = replace(chosen.choice, threads=chosen.threads * chosen.slots, slots=1)
    return Catalog.load(chosen.models_dir, default=chosen.default_model, choice=choice, limits=chosen.limits)


def _keep_output_clean() -> None:
    """Send warnings to standard error, because a command prints its answer on standard output."""
    from service.telemetry.logs import configure_logs

    configure_logs("warning", "console", sys.stderr)


def _complain(text: str) -> None:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {text}", markup=False, emoji=False)

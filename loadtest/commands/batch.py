"""The batch command: the rate of `blitzmask batch` beside the baseline, and the memory of a long job."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle, islice
from pathlib import Path

from pydantic import Field
from rich.console import Console

from loadtest.commands.arguments import Arguments, Found, find_folder
from loadtest.generators.photos import choose_photos
from loadtest.measurement.baseline import Baseline, BaselinePlan
from loadtest.measurement.harness import Stage
from loadtest.measurement.host_stats import measure_use
from loadtest.measurement.statistics import bootstrap_ratio
from loadtest.reports.content import Finding, Outcome, TextTable
from loadtest.types import CannotRun, Photo
from service.batch.outputs import parse_output
from service.batch.progress import Progress
from service.batch.run import BatchPlan, run_batch
from service.batch.sources import Source
from service.errors import BlitzError
from service.inference.card import read_card
from service.settings import Settings, models_folder, read_settings
from service.types import Options

_LEAST_SHARE = 0.95
_MOST_GROWTH = 0.05
_LOOKS = (0.1, 1.0)  # shares of a job after which memory is measured
_EXTENSIONS = {"image/jpeg": ".jpg", "image/png": ".png", "image/webp": ".webp", "image/bmp": ".bmp"}


class Batch(Arguments):
    """The rate of a job over many pictures, and its memory."""

    models: Path = Field(default_factory=models_folder, description="folder of models")
    model: str | None = Field(default=None, description="name of the model's folder; unset: the first")
    image: Path | None = Field(
        default=None, description="a photo, or a folder of photos; unset: three samples"
    )
    pictures: int = Field(default=1000, ge=10, le=10**6, description="files of each job")
    rounds: int = Field(
        default=3, ge=0, le=100, description="jobs in turns with the baseline; 0: one job alone"
    )
    duration: float = Field(
        default=10.0, ge=0.1, le=3600, description="seconds of the baseline in each round"
    )

    async def run(self, stage: Stage) -> Found:
        """Measures; raises CannotRun where the models or the photos cannot be used."""
        photos = choose_photos(self.image)
        settings = read_settings(models_dir=self.models)
        folder = find_folder(self.models, self.model)
        card = read_card(folder)
        with tempfile.TemporaryDirectory() as place:
            job = JobPlan(Path(place) / "pictures", self.pictures, card.name, settings)
            write_pictures(job.folder, photos, self.pictures)
            try:
                first = await run_job(job)
                rates = await self._compare(job, folder, photos, stage)
            except BlitzError as error:
                raise CannotRun(str(error)) from error
        findings, tables = [judge_memory(first)], [tell_job(first)]
        if rates:
            findings.append(judge_share(rates))
            tables.append(tell_rounds(rates))
        return Found(Outcome((), tuple(findings), tables=tuple(tables)))

    async def _compare(
        self, job: "JobPlan", folder: Path, photos: Sequence[Photo], stage: Stage
    ) -> list[tuple[float, float]]:
        """The pictures per second of the baseline and of a job, in turns."""
        settings, options = job.settings, Options()
        choice = replace(settings.choice, slots=1, threads=1, threads_alone=None)
        data = tuple(photo.data for photo in photos)
        baseline = Baseline(BaselinePlan(folder, choice, options, data, processes=settings.slots))
        rates: list[tuple[float, float]] = []
        try:
            while len(rates) < self.rounds and not stage.stop.is_set():
                run = await baseline.measure(self.duration)
                if run is None:
                    raise CannotRun("a process of the baseline died")
                rates.append((run.rate, (await run_job(job)).final_rate))
        finally:
            baseline.close()
        return rates


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A folder of so many pictures, and the model that segments them."""

    folder: Path
    pictures: int
    model: str
    settings: Settings


@dataclass
class Job(Progress):
    """The progress of one job: its rate, and its memory in megabytes after these shares of its pictures."""

    pictures: int
    memory_mb: dict[float, float] = field(default_factory=dict)
    final_rate: float = 0.0  # pictures per second

    def __post_init__(self) -> None:
        super().__init__(Console(quiet=True))

    def advance(self, *, failures: int) -> None:
        super().advance(failures=failures)
        for share in _LOOKS:
            if self._done == round(share * self.pictures):
                use = measure_use((os.getpid(),))
                assert use is not None, "this process runs"
                self.memory_mb[share] = use.memory_mb
        self.final_rate = self.rate


def write_pictures(folder: Path, photos: Sequence[Photo], count: int) -> None:
    """So many files in a new folder: each photo once, and further names of the same files."""
    folder.mkdir()
    files: list[Path] = []
    for number, photo in enumerate(islice(cycle(photos), count)):
        path = folder / f"{number:07}{_EXTENSIONS.get(photo.media_type, '.gif')}"
        if number < len(photos):
            path.write_bytes(photo.data)
            files.append(path)
        else:
            path.symlink_to(files[number % len(photos)])


def judge_memory(job: Job) -> Finding:
    """The growth of a job's memory after its first tenth."""
    early, late = (job.memory_mb[share] for share in _LOOKS)
    growth = late / early - 1
    goal = f"at most {100 * _MOST_GROWTH:g} % after the first tenth"
    return Finding("memory growth of a job", 100 * growth, "%", target=goal, met=growth <= _MOST_GROWTH)


def judge_share(rates: Sequence[tuple[float, float]]) -> Finding:
    """The rate of jobs over that of the baseline before each of them."""
    bare, jobs = zip(*rates, strict=True)
    share = bootstrap_ratio(jobs, bare)
    return Finding(
        "rate of a job over the baseline", share.estimate, "times", share.low, share.high,
        target=f"at least {_LEAST_SHARE:g}", met=share.estimate >= _LEAST_SHARE,
    )  # fmt: skip


def tell_job(job: Job) -> TextTable:
    """One line for the job that ran alone."""
    early, late = (f"{job.memory_mb[share]:.0f}" for share in _LOOKS)
    return TextTable(
        "one job alone",
        ("pictures", "per second", "MB after a tenth", "MB at the end"),
        ((str(job.pictures), f"{job.final_rate:.1f}", early, late),),
    )


def tell_rounds(rates: Sequence[tuple[float, float]]) -> TextTable:
    """A line for each job, with the baseline before it."""
    lines = tuple((f"{bare:.1f}", f"{job:.1f}") for bare, job in rates)
    return TextTable("pictures per second", ("baseline", "job"), lines)


async def run_job(plan: JobPlan) -> Job:
    """A whole job, whose output is deleted; its rate counts from the moment when the model is open."""
    job, settings = Job(plan.pictures), plan.settings
    with tempfile.TemporaryDirectory() as place:
        source = Source(str(plan.folder), settings.limits.max_bytes, None)
        batch = BatchPlan(source, parse_output(f"{place}/answers.jsonl"), Options(), plan.model)
        await run_batch(batch, settings.model_copy(update={"threads_alone": settings.threads}), job)
    return job

"""A job on a Ray cluster, through Ray Data: the same journal and output, computed by the cluster's cores.

Ray reads the pictures where they are computed, so every machine has to reach them by the same path or URL.
Pictures in archives and videos are read on this machine and sent.
"""

import itertools
import pickle
from collections.abc import Iterator
from typing import Any

from service.batch.journal import Journal, render_failure
from service.batch.outputs import write_results
from service.batch.progress import Progress
from service.batch.run import BatchPlan, check_found, describe_plan, make_work, read_line
from service.batch.sources import Item
from service.compute.task import Turn
from service.errors import InvalidOption
from service.inference.resolved_options import resolve_options
from service.process.start import load_catalog
from service.settings import Settings, read_settings

GROUP = 1000  # pictures of one data set: Ray keeps the list of them, and those from archives, in its memory
TOGETHER = 8  # pictures of one call of a worker


class Worker:
    """An actor of the cluster, with the model opened for one core."""

    def __init__(self, plan: BatchPlan, given: dict[str, Any]) -> None:
        self._options = plan.options
        self._model = load_catalog(read_settings(**given)).get(plan.model, plan.version)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """The journal's line of every picture, in their order."""
        return {"line": [self._compute(pickle.loads(item)) for item in batch["item"]]}

    def _compute(self, item: Item) -> bytes:
        try:
            work = make_work(self._model, item, item.load(), self._options)
            return read_line(work(Turn(crowded=True, waited_s=0.0)))
        except (InvalidOption, OSError):  # a fault of the job or the store, not of the picture
            raise
        except Exception as error:
            return render_failure(item.name, error)


def run_on_ray(plan: BatchPlan, settings: Settings, progress: Progress) -> int:
    """Computes what is left of the job on the cluster of RAY_ADDRESS; gives the number of bad files.

    Raises as `run_batch` does, and InvalidOption where Ray is not installed.
    """
    try:
        import ray.data
    except ImportError as error:
        raise InvalidOption(f"--ray needs the extra `ray` ({error})") from error
    ray.init(ignore_reinit_error=True, include_dashboard=False, log_to_driver=False)
    given = settings.model_dump(exclude_unset=True) | {"slots": 1, "slots_in": "threads", "threads_alone": 1}
    model = load_catalog(read_settings(**given)).get(plan.model, plan.version)
    resolve_options(model.card, plan.options)
    with Journal(plan.output.journal, describe_plan(plan, model)) as journal:
        progress.start(plan.source.count(), journal.done, journal.failures)
        with progress:
            for line in _compute_all(journal.skip_done(plan.source.items()), plan, given):
                journal.add(line)
                progress.advance(failures=journal.failures)
        check_found(plan.source, journal.done)
        write_results(plan.output, journal, model.card)
        journal.remove()
        return journal.failures


def _compute_all(items: Iterator[Item], plan: BatchPlan, given: dict[str, Any]) -> Iterator[bytes]:
    """The journal's lines in the order of the items."""
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
    while group := list(itertools.islice(items, GROUP)):
        rows = [{"item": pickle.dumps(item)} for item in group]
        data = ray.data.from_items(rows, override_num_blocks=max(1, len(rows) // TOGETHER))
        lines = data.map_batches(
            Worker,
            fn_constructor_args=(plan, given),
            batch_size=TOGETHER,
            concurrency=(1, cores),
            num_cpus=1,
        )
        for row in lines.iter_rows():
            yield row["line"]

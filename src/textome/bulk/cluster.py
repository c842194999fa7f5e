"""The same run on a Ray cluster, through Ray Data: parts are read and chunks annotated wherever there is room.

Every machine must see the inputs and the output at the same place (a shared folder; inputs may be fsspec addresses) and
have Textome installed. The ledger stays with the process that started the run. A task or machine that dies is Ray's to
replace; a chunk that is done twice writes the same files twice.
"""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from textome.bulk.chunks import Reading
from textome.bulk.ledger import Done
from textome.bulk.work import Options, Worker
from textome.errors import InputError, MissingExtraError, TextomeError

# Of each core a little is left for reading, so that readers find room where every core has a model.
_ANNOTATING, _READING = 0.9, 0.1
# Less than one chunk: each is a block of its own, so it goes to a worker and comes back by itself.
_BLOCK_BYTES = 1


class ClusterResults:
    """A backend of `engine.run` on the Ray cluster at `address`; "auto" is the one that runs on this machine.

    workers   how many models are loaded; by default one for each core of the cluster
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        self.address, self.workers = address, workers

    def __call__(self, readings: Iterable[Reading], output: Path, options: Options) -> Iterator[Done]:
        """Annotate parts; yields each chunk once, when its results are on disk. Raises what a worker raises."""
        try:
            import ray
            import ray.data
        except ImportError as error:
            raise MissingExtraError("running on a Ray cluster", "cluster") from error
        parts = [{"reading": pickle.dumps(item)} for item in readings]
        if not parts:
            return
        starts_ray = not ray.is_initialized()
        if starts_ray:
            try:
                ray.init(address=self.address, logging_level=logging.ERROR, log_to_driver=False)
            except (ConnectionError, RuntimeError, ValueError) as error:
                reason = str(error).strip().splitlines()[0]
                raise InputError(f"--ray {self.address}: there is no Ray cluster to reach ({reason})") from error
        try:
            yield from self._results(ray, parts, output, options)
        finally:
            if starts_ray:
                ray.shutdown()

    def _results(self, ray: Any, parts: list[dict[str, bytes]], output: Path, options: Options) -> Iterator[Done]:
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        workers = self.workers or cores
        readers = ray.data.TaskPoolStrategy(size=max(1, cores // 16))
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # progress is told by the run itself
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = _BLOCK_BYTES
        results = (
            ray.data.from_items(parts, override_num_blocks=len(parts))
            .map_batches(_read, batch_size=1, num_cpus=_READING, compute=readers)
            .map_batches(
                _Annotate,
                fn_constructor_args=(str(output.resolve()), options),
                batch_size=1,
                num_cpus=_ANNOTATING,
                compute=ray.data.ActorPoolStrategy(size=workers),
            )
        )
        seen: set[tuple[int, int]] = set()
        try:
            for row in results.iter_rows():
                done = pickle.loads(row["done"])
                if isinstance(done, Exception):
                    raise done
                if (done.part, done.number) not in seen:
                    seen.add((done.part, done.number))
                    yield done
        except ray.exceptions.RayError as error:
            raise InputError(f"the Ray cluster gave up ({str(error).strip().splitlines()[-1]})") from error


def _read(batch: dict[str, Any]) -> Iterator[dict[str, list[bytes]]]:
    for item in batch["reading"]:
        reading: Reading = pickle.loads(item)
        try:
            for chunk in reading.chunks():
                yield {"chunk": [pickle.dumps(chunk)]}
        except (TextomeError, OSError) as error:
            yield {"chunk": [pickle.dumps(error)]}


class _Annotate:
    """An actor: the model is loaded once, where it runs."""

    def __init__(self, output: str, options: Options) -> None:
        self._worker = Worker(Path(output), options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"done": [self._done(item) for item in batch["chunk"]]}

    def _done(self, item: bytes) -> bytes:
        chunk = pickle.loads(item)
        if isinstance(chunk, Exception):
            return item
        try:
            return pickle.dumps(self._worker(chunk))
        except (TextomeError, OSError) as error:  # for the driver to tell, not for Ray to try again
            return pickle.dumps(error)

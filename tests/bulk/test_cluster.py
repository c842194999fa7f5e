"""The same run on a real Ray cluster of two nodes on this machine, with a worker killed in the midst of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bulk.conftest import SOURCE, article, ids, pubmed, quarantined, rows
from textome.bulk import plan
from textome.bulk.cluster import ClusterResults
from textome.bulk.engine import Watcher, run
from textome.bulk.ledger import Done
from textome.bulk.work import Options
from textome.errors import InputError
from textome.pipeline import choose_pipeline

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    monkeypatch.setenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 100 << 20, "include_dashboard": False}
    started = Cluster(initialize_head=True, head_node_args=node)
    started.add_node(num_cpus=1, object_store_memory=100 << 20)
    yield started
    import ray

    ray.shutdown()
    started.shutdown()


def annotating(root: int) -> list[int]:
    """The processes below `root` in which Ray has loaded the model."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue
        if line.startswith("ray::") and "Annotate" in line and root in ancestors(int(folder.name)):
            found.append(int(folder.name))
    return found


def ancestors(pid: int) -> Iterator[int]:
    while pid > 1:
        yield pid
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return


def test_two_nodes_and_a_killed_worker_give_what_one_machine_gives(
    cluster: Any, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PART_BYTES", 1)  # a part for each file, so that there is something to share out
    folder = tmp_path / "in"
    for number in range(1, 5):
        first = 1 + 200 * (number - 1)
        pubmed(folder / f"pubmed24n000{number}.xml.gz", map(article, range(first, first + 200)), deleted=[number - 1])
    (folder / "z.jsonl").write_text('{"id": "z", "text": "gout"}\n{')
    options = Options(choose_pipeline(models=[tiny_bundle]))
    killed: list[int] = []

    def kill_one(done: Done) -> None:
        if not killed and (workers := annotating(os.getpid())):
            killed.append(workers[0])
            os.kill(workers[0], signal.SIGKILL)

    totals = run(
        [str(folder)],
        tmp_path / "cluster",
        options,
        chunk_documents=10,
        watcher=Watcher(chunk=kill_one),
        backend=ClusterResults(cluster.address),
    )
    assert killed
    alone = run([str(folder)], tmp_path / "one", options, workers=1, chunk_documents=10)
    assert replace(alone, last=totals.last) == totals
    assert rows(tmp_path / "cluster") == rows(tmp_path / "one")
    assert quarantined(tmp_path / "cluster") == quarantined(tmp_path / "one") != []
    assert len(ids(tmp_path / "cluster")) == len(set(ids(tmp_path / "cluster"))) == 800 - 3 + 1


def test_an_address_where_nothing_is_gives_one_sentence(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    source = pubmed(tmp_path / "a.xml", map(article, range(1, 3)))
    with pytest.raises(InputError, match="there is no Ray cluster to reach"):
        run(
            [str(source)],
            tmp_path / "out",
            Options(choose_pipeline(models=[tiny_bundle])),
            backend=ClusterResults("auto"),
        )

"""Times the library beside what it replaces: `make bench`, or `python tests/bench.py --data folder-of-sets`.

Both sides run in turns within one process, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import wfdb

from biosignals.data import ptbxl, sources

ROUNDS = 5


def seconds(action: Callable[[], object]) -> float:
    """How long `action()` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def loading(source: sources.Source) -> None:
    """PTB-XL at 100 Hz, all records: a loop over wfdb.rdsamp, our loader without and with its cache."""
    files = [f"{source.root}/{file}" for file in ptbxl.read_database(source.root)["filename_lr"]]
    loop, cold, cached = 0.0, [], []
    check_values(source, files[:50])  # imports and first calls stay out of the comparison
    for part in np.array_split(files, ROUNDS):
        loop += seconds(lambda part=part: [wfdb.rdsamp(file) and None for file in part])
        with tempfile.TemporaryDirectory() as cache:
            cold.append(seconds(lambda: ptbxl.load(source.root, cache=cache)))
            cached.append(seconds(lambda: ptbxl.load(source.root, cache=cache)))
    print(f"PTB-XL ({source.kind}), {len(files)} records, 12 leads, 100 Hz; ours: median of {ROUNDS}")
    for name, took in (
        ("wfdb.rdsamp loop", loop),
        ("load, no cache", median(cold)),
        ("load, cached", median(cached)),
    ):
        print(f"  {name:17} {took:8.3f} s {1000 * took / len(files):8.3f} ms a record {loop / took:8.1f} x")


def check_values(source: sources.Source, files: list[str]) -> None:
    """Stops the benchmark unless our values of the first records are wfdb's."""
    expected = np.stack([wfdb.rdsamp(file)[0].T for file in files])
    with tempfile.TemporaryDirectory() as cache:
        ours = ptbxl.load(source.root, cache=cache).physical(np.arange(len(files)))
        np.testing.assert_allclose(ours, expected, atol=1e-6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of real sets; without it a set is simulated")
    parser.add_argument("--records", type=int, default=2630, help="how many records to simulate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as simulated:
        loading(sources.locate("ptb-xl", arguments.data, simulated, arguments.records))

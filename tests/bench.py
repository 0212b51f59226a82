"""Times the library beside what it replaces: `make bench`, or `python tests/bench.py --data folder-of-sets`.

Both sides run in turns within one process, so that whatever else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import wfdb

from biosignals.data import ptbxl, sources

ROUNDS = 3


def seconds(action) -> tuple[float, object]:
    """How long `action()` took, and what it returned."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def read_with_wfdb(root: Path, files) -> list[np.ndarray]:
    return [wfdb.rdsamp(str(root / file))[0] for file in files]


def loading(source: sources.Source) -> None:
    """PTB-XL at 100 Hz: all records without a cache, the same from the cache, and a loop over wfdb.rdsamp."""
    files = ptbxl.read_database(source.root)["filename_lr"].tolist()
    read_with_wfdb(source.root, files[:10])  # imports and first calls stay out of the comparison
    cold, warm, loop, expected = [], [], 0.0, []
    for part in np.array_split(files, ROUNDS):
        took, signals = seconds(lambda part=part: read_with_wfdb(source.root, part))
        loop, expected = loop + took, expected + signals
        with tempfile.TemporaryDirectory() as cache:
            took, loaded = seconds(lambda: ptbxl.load(source.root, cache=cache))
            cold.append(took)
            took, loaded = seconds(lambda: ptbxl.load(source.root, cache=cache))
            warm.append(took)
            same = np.allclose(loaded.physical(range(len(expected))), np.swapaxes(expected, 1, 2), atol=1e-6)
    cold, warm = statistics.median(cold), statistics.median(warm)
    print(f"PTB-XL ({source.kind}), {len(files)} records, 12 leads, 100 Hz; median of {ROUNDS} rounds")
    print(f"  wfdb.rdsamp loop     {loop:8.3f} s   {1000 * loop / len(files):7.3f} ms a record")
    print(
        f"  ptbxl.load, no cache {cold:8.3f} s   {1000 * cold / len(files):7.3f} ms a record   {loop / cold:6.1f} x faster"
    )
    print(
        f"  ptbxl.load, cached   {warm:8.3f} s   {1000 * warm / len(files):7.3f} ms a record   {loop / warm:6.1f} x faster"
    )
    print(f"  values equal wfdb's: {'yes' if same and len(loaded) == len(files) else 'NO'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="", help="folder of real sets; without it a set is simulated")
    parser.add_argument("--records", type=int, default=2630, help="how many records to simulate")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as simulated:
        loading(sources.locate("ptb-xl", arguments.data, simulated, arguments.records))

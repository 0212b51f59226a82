"""What the page "Try it in the browser" consists of, beside its scripts in
book/static/demo and the exported models that it links: ONNX Runtime, what the library
knows of names, units and limits, and recordings to try.

The runtime comes from npm; without it the page says so in a sentence.
"""

import dataclasses
import io
import json
import re
import tempfile
from contextlib import redirect_stderr
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import npm
from chapters import ROOT

RUNTIME = "onnxruntime-web@1.30.0"  # MIT; its wasm build runs on the processor alone
FILES = {  # SHA-256 of what the page needs of it
    "dist/ort.wasm.bundle.min.mjs": "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",  # noqa: E501
    "dist/ort-wasm-simd-threaded.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",  # noqa: E501
}
MODELS = ROOT / "book/reference/models"
LARGEST_FILE, MOST_SECONDS = 1 << 25, 600  # of what is dropped on the page
DESCRIBES = (  # of a card, what the page needs
    "model", "task", "channels", "unit", "sampling_rate", "samples", "step",
    "aggregation", "classes", "thresholds", "trained_on", "limits", "smoothing",
    "channel_aliases",
)  # fmt: skip
THERE = """\
<link rel="stylesheet" href="../_static/demo/demo.css">
<div id="demo"><p>This needs JavaScript, and pages that are served: run
<code>make serve</code> and open the address that it prints.</p></div>
<script type="module" src="../_static/demo/demo.js"></script>
"""
MISSING = """\
<p>The demonstration was left out when this book was built: ONNX Runtime for browsers
could not be fetched from npm.</p>
"""


def pages(runtime: dict[str, bytes] | None) -> dict[str, str | bytes]:
    """The files, by their names below book/chapters; runtime: of `fetch_runtime`."""
    if runtime is None:
        return {"try-it.html": MISSING}
    samples, recordings = make_samples()
    known = constants() | {"models": cards(), "samples": samples}
    script = f"export default {json.dumps(known, ensure_ascii=False)};\n"
    licences = Path(find_spec("onnxruntime").origin).parent
    served = {f"onnxruntime/{as_script(name)}": file for name, file in runtime.items()}
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        content = (licences / name).read_bytes()
        served[f"onnxruntime/{Path(name).stem}.txt"] = content
    files = {"constants.js": script} | served | recordings
    there = {f"static/demo/{name}": content for name, content in files.items()}
    return there | {"try-it.html": THERE}


def fetch_runtime() -> dict[str, bytes] | None:
    """The runtime's files by their paths; None, with the reason on stderr, where they
    cannot be had.
    """
    return npm.fetch(RUNTIME, FILES)


def as_script(path: str) -> str:
    """The name of a file, for scripts one that every server knows for a script's."""
    return Path(path).name.replace(".mjs", ".js")


# What the library knows


def cards() -> dict[str, dict]:
    """What the page needs of each model's card, by the model's name; those that see
    most channels come first.
    """
    from biosignals.deployment.card import read_card

    found = {p.stem: read_card(p) for p in sorted(MODELS.glob("*.onnx"))}
    found = dict(sorted(found.items(), key=lambda item: -len(item[1].channels)))
    return {
        name: {key: dataclasses.asdict(card)[key] for key in DESCRIBES}
        for name, card in found.items()
    }


def constants() -> dict[str, object]:
    """Names, units, limits and sentences of the library, under the scripts' names."""
    from biosignals.data import channel_names, readers, units, waveforms
    from biosignals.data.readers import signal
    from biosignals.deployment import predict
    from biosignals.signals import resampling

    return {
        "largestFile": LARGEST_FILE,
        "mostSeconds": MOST_SECONDS,
        "mostMissing": waveforms.MOST_INVALID,
        "batch": 32,
        "leads": channel_names.LEADS,
        "derived": channel_names.DERIVED,
        "synonyms": channel_names.SYNONYMS,
        "units": units.UNITS,
        "unitWords": units.WORDS,
        "micro": units.MICRO,
        "notDerived": signal.NOT_DERIVED,
        "invalid": signal.INVALID,
        "noDiagnosis": predict.NO_DIAGNOSIS,
        "fileTypes": {
            "wfdb": readers.WFDB,
            "edf": readers.EDF,
            "tables": readers.TABLES,
            "hdf5": readers.HDF5,
            "others": readers.OTHERS,
        },
        "signatures": {
            start.decode("latin-1"): what for start, what in readers.SIGNATURES.items()
        },
        "patterns": patterns(),
        "wfdb": of_wfdb(),
        "predict": of_predict(),
        "plausibility": of_plausibility(),
        "explain": of_explain(),
        "resampling": taken(resampling, "ZEROS", "BETA", "FINEST"),
        **of_tables(),
    }


def taken(module: ModuleType, *names: str) -> dict[str, object]:
    """Constants of a module as scripts name theirs: LONGEST_LINE > longestLine."""
    scripted = {name: name.title().replace("_", "") for name in names}
    return {
        title[0].lower() + title[1:]: getattr(module, name)
        for name, title in scripted.items()
    }


def of_predict() -> dict[str, object]:
    from biosignals.deployment import predict

    names = (
        "SHORTEST", "STILL", "HIGH_PASS", "DIFFERENT", "EPISODES", "FEW", "MOST_LINES",
    )  # fmt: skip
    return taken(predict, *names)


def of_plausibility() -> dict[str, object]:
    from biosignals.deployment import plausibility

    names = (
        "HIGHEST", "STRETCH", "MOST_UNSTEADY", "USUAL", "OFFSET", "WANDER",
        "ALIKE", "FEWEST_ALIKE", "SCALED",
    )  # fmt: skip
    swings = {"ecg": plausibility.ECG._asdict(), "eeg": plausibility.EEG._asdict()}
    return taken(plausibility, *names) | swings


def of_explain() -> dict[str, object]:
    from biosignals.deployment import explain
    from biosignals.evaluation import occlusion

    return taken(explain, "SHOWN", "PIECE") | taken(occlusion, "SMALLEST")


def of_wfdb() -> dict[str, object]:
    from biosignals.data import wfdb_records as wfdb

    limits = (
        "FINEST",
        "COARSEST",
        "HIGHEST_BASELINE",
        "LARGEST_HEADER",
        "LARGEST_FILE",
    )
    lines = ("LONGEST_LINE", "MOST_SIGNALS", "LONG_FORMATS", "MATLAB_TYPES")
    return taken(wfdb, *limits, *lines) | {
        "bytesPerSample": {name: width for name, (width, _) in wfdb.FORMATS.items()},
        "missingCounts": {name: count for name, (_, count) in wfdb.FORMATS.items()},
    }


def of_tables() -> dict[str, object]:
    from pandas._libs.parsers import STR_NA_VALUES

    from biosignals.data.readers import csv, dialect, programs, times

    of_dialect = (
        "LONGEST_LINE",
        "ROWS",
        "MOSTLY",
        "SEPARATORS",
        "ONE_COLUMN",
        "MISSING",
    )
    of_times = ("SECONDS", "UNSAID", "EPOCHS", "USUAL", "FEW", "MOST_READ", "AGREE")
    return (
        taken(
            csv, "HEAD", "LONGEST_NAME", "LONGEST_SHOWN", "MOST_COLUMNS", "FEW_COLUMNS"
        )
        | taken(dialect, *of_dialect)
        | {
            "missingCells": sorted({*dialect.MISSING, *STR_NA_VALUES}),
            "times": taken(times, *of_times),
            "programs": taken(programs, "CONVERTED", "ROWS"),
        }
    )


def patterns() -> dict[str, str]:
    """Regular expressions of the readers, as JavaScript has them."""
    from biosignals.data import channel_names
    from biosignals.data.readers import csv, dialect, programs, times

    found = {
        "beforeALead": channel_names.BEFORE_A_LEAD,
        "someLead": channel_names.SOME_LEAD,
        "furtherLead": channel_names.FURTHER,
        "number": dialect.NUMBER,
        "hertz": dialect.HERTZ,
        "rate": dialect.RATE,
        "interval": dialect.INTERVAL,
        "sampling": dialect.SAMPLING,
        "noRate": dialect.NO_RATE,
        "scale": dialect.SCALE,
        "perSample": programs.PER_SAMPLE,
        "perTime": programs.PER_TIME,
        "channels": programs.CHANNELS,
        "formOfTimes": dialect.FORM_OF_TIMES,
        "nameAndUnit": csv.NAME_AND_UNIT,
        "thousands": re.compile(csv.THOUSANDS),
        "list": csv.LIST,
        "timeOfDay": times.TIME_OF_DAY,
        "stamp": times.STAMP,
        "timeName": times.NAME,
        "count": times.COUNT,
    }
    return {name: in_javascript(one.pattern) for name, one in found.items()}


def in_javascript(pattern: str) -> str:
    """A regular expression with Python's letters, which are those of every language."""
    letters = {
        r"[^\W_]": r"[\p{L}\p{N}]",
        r"\w": r"[\p{L}\p{N}_]",
        r"\W": r"[^\p{L}\p{N}_]",
        r"\"": '"',
    }
    return re.sub(r"\[\^\\W_\]|\\[wW\"]", lambda found: letters[found[0]], pattern)


# Recordings to try


def make_samples() -> tuple[list[dict], dict[str, bytes]]:
    """What the page offers, name and files each, and the files' contents: WFDB records
    from the library's simulators.
    """
    offered, contents = [], {}
    # The simulators' progress bars are nothing to whoever renders the book.
    with tempfile.TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        for make in (twelve_leads, hand_held, holter, scalp):
            for name, header in make(Path(folder) / make.__name__):
                files = sorted(header.parent.glob(f"{header.stem}.[hdm]*"))
                offered.append({"name": name, "files": [path.name for path in files]})
                contents |= {f"samples/{p.name}": p.read_bytes() for p in files}
    return offered, contents


def twelve_leads(folder: Path) -> list[tuple[str, Path]]:
    """A normal ECG, and the first with another statement but a pacemaker."""
    import pandas as pd

    from biosignals.simulate import ptbxl

    ptbxl.write(folder, 8)
    table = pd.read_csv(folder / "ptbxl_database.csv")
    normal = table.scp_codes.str.contains("'NORM'")
    paced = table.scp_codes.str.contains("'PACE'")
    rows = [table[normal].iloc[0], table[~normal & ~paced].iloc[0]]
    return [
        (
            f"Twelve leads, simulated ({', '.join(re.findall(r'[A-Z/_]+', row.scp_codes))})",  # noqa: E501
            folder / f"{row.filename_hr}.hea",
        )
        for row in rows
    ]


def hand_held(folder: Path) -> list[tuple[str, Path]]:
    """The first recording of lead I with atrial fibrillation."""
    from biosignals.simulate import cinc2017

    cinc2017.write(folder, 12)
    lines = (folder / "training2017/REFERENCE.csv").read_text().split()
    name = next(line.split(",")[0] for line in lines if line.endswith(",A"))
    header = folder / f"training2017/{name}.hea"
    return [("Lead I, hand-held, simulated (atrial fibrillation)", header)]


def holter(folder: Path) -> list[tuple[str, Path]]:
    """Minutes of two leads in which atrial fibrillation comes and goes."""
    from biosignals.simulate import cpsc2021

    cpsc2021.write(folder, 1)
    (header,) = folder.glob("*/*.hea")
    return [
        ("Leads I and II, minutes, simulated (fibrillation comes and goes)", header)
    ]


def scalp(folder: Path) -> list[tuple[str, Path]]:
    """Two minutes of EEG with a seizure."""
    import wfdb

    from biosignals.data import readers
    from biosignals.simulate import chbmit

    chbmit.write(folder, 1, minutes=2, files_per_subject=1)
    (edf,) = folder.glob("*/*.edf")
    eeg = readers.read(edf)
    wfdb.wrsamp(
        edf.stem, eeg.sampling_rate, list(eeg.units), list(eeg.channels),
        p_signal=eeg.values.T.astype(float), fmt=["16"] * len(eeg.channels),
        adc_gain=[40] * len(eeg.channels), baseline=[0] * len(eeg.channels),
        write_dir=str(folder),
    )  # fmt: skip
    return [("Scalp EEG, simulated (with a seizure)", folder / f"{edf.stem}.hea")]

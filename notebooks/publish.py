"""Make a finished run of the profile `reference` the one that the book shows:
`python notebooks/publish.py`.
"""

import shutil
import subprocess
import sys

import chapters
import pandas as pd
from chapters import ROOT

RUN, SHOWN = ROOT / "runs/reference", ROOT / "book/reference"
RECORDS = ("results.json", "ledger.csv")


def main() -> None:
    if faults := find_faults():
        sys.exit(
            "This run is not published:\n" + "\n".join(f"  {fault}" for fault in faults)
        )
    for name in chapters.names():
        shutil.copy(RUN / f"{name}.ipynb", SHOWN)
    for name in RECORDS:
        shutil.copy(RUN / name, SHOWN)
    shutil.rmtree(SHOWN / "models", ignore_errors=True)
    shutil.copytree(RUN / "models", SHOWN / "models")
    readme = ["--readme", "README.md", "--anchors", "book/anchors.csv"]
    command = [
        sys.executable,
        "-m",
        "biosignals.reporting.scoreboard",
        "book/reference",
        *readme,
    ]
    subprocess.run(command, cwd=ROOT, check=True)


def find_faults() -> list[str]:
    """Why the run cannot be the reference: what it lacks, changed parameters, simulated
    sets that the profile does not allow.
    """
    allowed = set(chapters.read_profile("reference").get("may_be_simulated", []))
    faults = [
        f"runs/reference/{name} is missing: make run-all PROFILE=reference DATA=folder"
        for name in [
            *(f"{name}.ipynb" for name in chapters.names()),
            *RECORDS,
            "models",
        ]
        if not (RUN / name).exists()
    ]
    for name in chapters.names():
        about = chapters.about(RUN / f"{name}.ipynb")
        if not about and (RUN / f"{name}.ipynb").exists():
            faults.append(f"{name} does not say what it was made from: run it again")
        faults += [
            f"{name} was executed though {fault}" for fault in about.get("faults", [])
        ]
        simulated = {
            one
            for one, (kind, _) in about.get("sets", {}).items()
            if kind == "simulated"
        }
        faults += [
            f"{name} was executed on a simulated {one}"
            for one in sorted(simulated - allowed)
        ]
        if about.get("given"):
            faults.append(
                f"{name} was executed with {', '.join(about['given'])} changed"
            )
    if (RUN / "results.json").is_file():
        records = pd.read_json(RUN / "results.json")
        simulated = records[
            (records.kind == "simulated") & ~records.dataset.isin(allowed)
        ]
        of = simulated.groupby("dataset").chapter.unique()
        faults += [
            f"scores on a simulated {one} in {', '.join(names)}"
            for one, names in of.items()
        ]
    return faults


if __name__ == "__main__":
    main()

"""The public data sets: what each is, its licence, and where its official release is published."""

from collections.abc import Mapping
from dataclasses import dataclass, field

SERVERS = {
    "physionet": "https://physionet.org/files",
    # PhysioNet's own mirror of most open sets: the same files, many times faster.
    "physionet mirror": "https://physionet-open.s3.amazonaws.com",
    "figshare": "https://api.figshare.com/v2/articles",
    "zenodo": "https://zenodo.org/api/records",
}


@dataclass(frozen=True)
class Release:
    """One official release and where its files are published."""

    title: str
    licence: str
    page: str
    publisher: str  # physionet, figshare or zenodo
    records: tuple[str, ...]  # PhysioNet project/version, figshare articles or Zenodo record
    size: float | None  # bytes to download, about; None where only the publisher's server tells
    disk: float | None  # bytes needed on disk, about
    only: tuple[str, ...] = ()  # the files wanted; empty: all
    archives: bool = False  # unpack zip and tar files
    rename: Mapping[str, str] = field(default_factory=dict)


CATALOGUE = {
    "ptb-xl": Release(
        title="PTB-XL 1.0.3: 21,799 12-lead ECGs of 10 s, 100 and 500 Hz",
        licence="CC BY 4.0",
        page="https://physionet.org/content/ptb-xl/1.0.3/",
        publisher="physionet",
        records=("ptb-xl/1.0.3",),
        size=3.0e9,
        disk=3.0e9,
    ),
    "cinc2017": Release(
        title="PhysioNet/CinC Challenge 2017 1.0.0, training set: 8,528 single-lead ECGs, 300 Hz",
        licence="ODC-By 1.0",
        page="https://physionet.org/content/challenge-2017/1.0.0/",
        publisher="physionet",
        records=("challenge-2017/1.0.0",),
        size=0.1e9,
        disk=0.3e9,
        only=("training2017.zip", "REFERENCE-v3.csv"),
        archives=True,
    ),
    "sph": Release(
        title="SPH: 25,770 12-lead ECGs of 10-60 s, 500 Hz, Shandong Provincial Hospital",
        licence="CC0 1.0",
        page="https://doi.org/10.6084/m9.figshare.c.5779802.v1",
        publisher="figshare",
        records=("17912441", "17912507", "19738468", "17912444"),
        size=2.3e9,
        disk=4.6e9,
        archives=True,
    ),
    "chb-mit": Release(
        title="CHB-MIT 1.0.0: scalp EEG of children with epilepsy, 686 recordings, 256 Hz",
        licence="ODC-By 1.0",
        page="https://physionet.org/content/chbmit/1.0.0/",
        publisher="physionet",
        records=("chbmit/1.0.0",),
        size=42.6e9,
        disk=42.6e9,
    ),
    "helsinki": Release(
        title="Helsinki neonatal EEG with seizure annotations: 79 neonates, 256 Hz",
        licence="CC BY 4.0",
        page="https://zenodo.org/records/4940267",
        publisher="zenodo",
        records=("4940267",),
        size=4.0e9,
        disk=4.0e9,
        rename={"annotations_2017_A_fixed.csv": "annotations_2017_A.csv"},
    ),
    "wf-ppg": Release(
        title="WF-PPG: wrist and finger PPG under changing contact pressure, 27 subjects",
        licence="CC BY 4.0",
        page="https://doi.org/10.1038/s41597-025-04453-7",
        publisher="figshare",
        records=("27011998",),
        size=None,
        disk=None,
        archives=True,
    ),
    "bidmc": Release(
        title="BIDMC PPG and Respiration 1.0.0: 53 recordings of 8 min, 125 Hz",
        licence="ODC-By 1.0",
        page="https://physionet.org/content/bidmc/1.0.0/",
        publisher="physionet",
        records=("bidmc/1.0.0",),
        size=0.3e9,
        disk=0.3e9,
    ),
    "ludb": Release(
        title="LUDB 1.0.1: 200 12-lead ECGs of 10 s with the bounds of their waves, 500 Hz",
        licence="ODC-By 1.0",
        page="https://physionet.org/content/ludb/1.0.1/",
        publisher="physionet",
        records=("ludb/1.0.1",),
        size=0.03e9,
        disk=0.03e9,
    ),
    "cpsc2021": Release(
        title="CPSC 2021 1.0.0: 1,436 Holter ECGs of 105 patients, paroxysmal atrial fibrillation, 200 Hz",
        licence="CC BY 4.0",
        page="https://physionet.org/content/cpsc2021/1.0.0/",
        publisher="physionet",
        records=("cpsc2021/1.0.0",),
        size=1.2e9,
        disk=1.2e9,
    ),
    "afdb": Release(
        title="MIT-BIH Atrial Fibrillation Database 1.0.0: 25 ECGs of 10 h, beats and rhythms, 250 Hz",
        licence="ODC-By 1.0",
        page="https://physionet.org/content/afdb/1.0.0/",
        publisher="physionet",
        records=("afdb/1.0.0",),
        size=0.6e9,
        disk=0.6e9,
    ),
    "ppg-bp": Release(
        title="PPG-BP: finger pulse waves and blood pressure of 219 people, 1000 Hz",
        licence="CC BY 4.0",
        page="https://figshare.com/articles/dataset/PPG-BP_Database_zip/5459299",
        publisher="figshare",
        records=("5459299",),
        size=None,
        disk=None,
        archives=True,
    ),
}

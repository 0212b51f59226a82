import csv
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from edfio import read_edf
from scipy import signal
from sklearn.metrics import roc_auc_score

from biosignals.data import chbmit as reader
from biosignals.simulate import chbmit, eeg, files, helsinki

REAL = Path(os.environ.get("BIOSIGNALS_DATA") or "/nowhere")
BANDS = {"delta": (1, 4), "theta": (4, 8), "alpha": (8, 13), "beta": (13, 30), "gamma": (30, 45)}


def windows(microvolts, seconds=10):
    """(windows, channels, samples) of (channels, samples), one after the other."""
    size = seconds * eeg.SAMPLING_RATE
    count = microvolts.shape[1] // size
    return microvolts[:, : count * size].reshape(len(microvolts), count, size).swapaxes(0, 1)


def band_powers(cut):
    """Mean power density (windows, channels, bands) in microvolts squared per Hz."""
    frequencies, power = signal.welch(cut, eeg.SAMPLING_RATE, nperseg=512, detrend="linear")
    inside = [(frequencies >= low) & (frequencies < high) for low, high in BANDS.values()]
    return np.stack([power[..., where].mean(-1) for where in inside], axis=-1)


def filtered(cut):
    band = signal.butter(2, [0.5, 45], "bandpass", fs=eeg.SAMPLING_RATE, output="sos")
    return signal.sosfilt(band.astype(np.float32), cut.astype(np.float32), axis=-1)[..., 256:]


def correlations(cut):
    """Mean correlation matrix of the windows' channels, the pairs above the diagonal, duplicates left out."""
    matrix = np.mean([np.corrcoef(window) for window in cut[:, :22]], axis=0)
    return matrix[np.triu_indices(22, 1)]


def all_channels(potentials):
    microvolts = np.stack([chbmit.bipolar(potentials, channel) for channel in chbmit.CHANNELS])
    return np.clip(microvolts, *chbmit.PHYSICAL)


@dataclass
class Windows:
    """Ten-second windows (windows, channels, samples) of 0.5-45 Hz, band powers, 1 for seizure, whose."""

    clean: np.ndarray
    power: np.ndarray
    ictal: np.ndarray
    subject: np.ndarray


@pytest.fixture(scope="module")
def labelled():
    """Four minutes of each of ten subjects, a seizure among them."""
    cut, ictal, subject = [], [], []
    for number in range(10):
        person = chbmit.draw_subject(11, number)
        rng = np.random.default_rng([12, number])
        end = 100 + round(eeg.draw_duration(rng, person))
        cut.append(windows(all_channels(eeg.record(rng, person, 240, [(100, end)]))))
        begins = np.arange(len(cut[-1])) * 10
        ictal.append(((begins < end) & (begins >= 100)).astype(int))
        subject.append(np.full(len(begins), number))
    cut = np.concatenate(cut)
    return Windows(filtered(cut), band_powers(cut), np.concatenate(ictal), np.concatenate(subject))


# --- the signal -------------------------------------------------------------------------------------------


def test_background_has_the_spectrum_and_size_of_scalp_eeg(labelled):
    background = labelled.ictal == 0
    power = np.median(np.log10(labelled.power[background]), axis=(0, 1))
    assert (np.diff(power) < 0).all()  # falls from band to band
    assert 1.9 < power[0] < 3.1 and -1.2 < power[4] < 0.6
    size = np.median(np.abs(labelled.clean[background]), axis=(1, 2))
    assert 12 < np.median(size) < 45


def test_neighbours_are_alike_and_repeated_channels_the_same(labelled):
    matrix = np.mean([np.corrcoef(window) for window in labelled.clean[labelled.ictal == 0]], axis=0)
    at = chbmit.CHANNELS.index
    assert matrix[at("T7-P7"), at("P7-T7")] < -0.999
    assert matrix[14, 22] > 0.999  # T8-P8, twice
    assert matrix[at("FZ-CZ"), at("F3-C3")] > 0.4 > abs(matrix[at("FZ-CZ"), at("P7-O1")])


def test_subjects_differ_more_than_the_stretches_of_one(labelled):
    background = labelled.ictal == 0
    level, subject = np.log(labelled.power).mean(axis=1)[background], labelled.subject[background]
    own = [level[subject == number] for number in np.unique(subject)]
    between = np.std([stretch.mean(axis=0) for stretch in own], axis=0)
    within = np.mean([stretch.std(axis=0) / np.sqrt(len(stretch)) for stretch in own], axis=0)
    assert (between > 1.5 * within).all()


def test_seizures_grow_slow_down_and_are_the_patients_own():
    courses = []
    for number in range(16):
        epilepsy = chbmit.draw_subject(3, number).epilepsy
        for repeat in range(2):
            total = np.zeros((len(eeg.ELECTRODES), 60 * 256), np.float32)
            eeg._add_seizure(np.random.default_rng([4, number, repeat]), epilepsy, total, 0, 60)
            largest = total[np.argmax(total.std(axis=1))]
            parts = windows(largest[None], 20)[:, 0]
            assert parts[2].std() > parts[0].std()
            frequencies, power = signal.welch(parts, 256, nperseg=512)
            share = power[:, frequencies < 15].cumsum(axis=1)
            median = [np.interp(0.5, row / row[-1], frequencies[frequencies < 15]) for row in share]
            courses.append((number, median[0], median[2]))
    courses = np.array(courses)
    assert np.mean(courses[:, 2] < courses[:, 1]) > 0.8
    first, second = courses[::2, 1:], courses[1::2, 1:]
    strangers = np.abs(first - np.roll(second, 1, axis=0)).mean()
    assert np.abs(first - second).mean() < strangers / 2


def test_no_single_feature_finds_the_seizures(labelled):
    clean, ictal = labelled.clean, labelled.ictal
    features = {
        "line length": np.abs(np.diff(clean)).mean(-1),
        "amplitude": np.percentile(np.abs(clean), 95, axis=-1),
    }
    features |= {band: labelled.power[..., position] for position, band in enumerate(BANDS)}
    for name, values in features.items():
        for over in (np.median, np.max):
            score = roc_auc_score(ictal, over(values, axis=1))
            assert score < 0.97, f"{over.__name__} {name}: {score:.3f}"
            assert name != "theta" or score > 0.6  # there is something to find


def test_recordings_repeat_with_the_seed_and_differ_without():
    subject = chbmit.draw_subject(0, 0)
    one, same, other = (eeg.record(np.random.default_rng(seed), subject, 20, [(5, 15)]) for seed in (1, 1, 2))
    assert one.dtype == np.float32 and one.shape == (len(eeg.ELECTRODES), 20 * 256) and np.isfinite(one).all()
    assert np.array_equal(one, same) and not np.allclose(one, other)


@pytest.mark.skipif(not (REAL / "chb-mit/excerpts").is_dir(), reason="no chb-mit in BIOSIGNALS_DATA")
def test_background_is_like_the_real_windows(labelled):
    with np.load(REAL / "chb-mit/excerpts/windows.npz") as archive:
        real = archive["X"][archive["seizure"] == 0]
        assert tuple(archive["channels"]) == chbmit.CHANNELS
    background = labelled.ictal == 0
    apart = np.log10(band_powers(real)) - np.median(np.log10(labelled.power[background]), axis=(0, 1))
    assert (np.abs(np.median(apart, axis=(0, 1))) < 0.45).all()
    real, ours = filtered(real), labelled.clean[background]
    for percentile in (50, 95, 99):
        sizes = [np.median(np.percentile(np.abs(some), percentile, axis=-1)) for some in (real, ours)]
        assert 0.65 < sizes[1] / sizes[0] < 1.55
    assert np.corrcoef(correlations(real), correlations(ours))[0, 1] > 0.8


# --- CHB-MIT ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chb(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "chb-mit"
    chbmit.write(root, 5, seed=1, minutes=2.5, files_per_subject=2)
    return root


def summarised(root):
    """What the summaries say: {file: (channels, seizures)}."""
    found = {}
    for path in sorted(root.glob("chb*/*-summary.txt")):
        for block in path.read_text().split("\n\n"):
            if "Channel 1:" in block:
                channels = re.findall(r"Channel \d+: (.*)", block)
            elif name := re.match(r"File Name: (.*)", block):
                start, end = (
                    re.findall(rf"Seizure (?:\d+ )?{which} Time: (\d+) seconds", block)
                    for which in ("Start", "End")
                )
                seizures = [(int(a), int(b)) for a, b in zip(start, end)]
                assert f"Number of Seizures in File: {len(seizures)}" in block
                found[name[1]] = (channels, seizures)
    return found


def test_files_are_those_of_the_lists_and_summaries(chb):
    records = (chb / "RECORDS").read_text().split()
    assert records == [f"chb0{1 + row // 2}/chb0{1 + row // 2}_0{1 + row % 2}.edf" for row in range(5)]
    assert sorted(str(path.relative_to(chb)) for path in chb.glob("chb*/*.edf")) == records
    about = summarised(chb)
    assert list(about) == [Path(name).name for name in records]
    assert (chb / "RECORDS-WITH-SEIZURES").read_text().split() == [name for name in about if about[name][1]]
    for subject in ("chb01", "chb02", "chb03"):
        assert any(about[name][1] for name in about if name.startswith(subject))


def test_edf_files_are_as_the_real_ones(chb):
    about = summarised(chb)
    for path in chb.glob("chb*/*.edf"):
        edf = read_edf(path)
        assert [channel.label for channel in edf.signals] == about[path.name][0]
        assert edf.data_record_duration == 1 and edf.num_data_records == 150 and not edf.annotations
        for channel in edf.signals:
            assert (channel.sampling_frequency, channel.physical_dimension) == (256, "uV")
            assert (*channel.physical_range, *channel.digital_range) == (-800, 800, -2048, 2047)
        values = {channel.label: channel.data for channel in edf.signals}
        assert np.abs(values["T7-P7"] + values["P7-T7"]).max() < 0.8


def test_a_plan_of_96_hours_has_enough_seizures_well_apart():
    for seed in range(3):
        subjects = [chbmit.draw_subject(seed, number) for number in range(24)]
        sessions = chbmit.plan(subjects, 96, seed, 3600, 4)
        assert len(sessions) == 96 and {session.subject for session in sessions} == set(range(24))
        assert sum(len(session.seizures) for session in sessions) >= 60
        assert len({session.channels for session in sessions}) > 1
        for session in sessions:
            edges = np.array([(-60, 0), *session.seizures, (3600, 3660)])
            gaps = edges[1:, 0] - edges[:-1, 1]
            assert (gaps >= 60).all() and (gaps[1:-1] >= chbmit.APART).all()
            lengths = np.diff(session.seizures) if session.seizures else np.array([15])
            assert lengths.min() >= 15 and lengths.max() <= 120


def test_summaries_word_one_and_several_seizures_differently():
    session = chbmit.Session(0, "chb01_01.edf", 86000, chbmit.CHANNELS, ((5, 20),))
    twice = chbmit.Session(0, "chb01_02.edf", 700, chbmit.WITH_DUMMIES, ((5, 20), (300, 330)))
    text = chbmit._summary([session, twice], 3600, timeless=False, focus="T7")
    assert (
        "Number of Seizures in File: 1\nSeizure Start Time: 5 seconds\nSeizure End Time: 20 seconds\n" in text
    )
    assert "Seizure 2 Start Time: 300 seconds\nSeizure 2 End Time: 330 seconds\n" in text
    assert "File Start Time: 23:53:20\nFile End Time: 24:53:20\n" in text
    assert text.count("Channels changed:\n") == 1 and "Channel 28: T8-P8\n" in text
    assert re.findall(r"Seizure( \d)? Onset: T7\n", text) == ["", " 1", " 2"]
    assert "Time: 23" not in chbmit._summary([session], 3600, timeless=True, focus="T7")


def test_seizures_begin_near_the_electrode_that_the_summary_names(chb):
    _, seizures = reader.read_summaries(chb)
    for case, onsets in seizures.groupby("case").onset:
        epilepsy = chbmit.draw_subject(1, int(case[3:]) - 1).epilepsy
        assert set(onsets) == {epilepsy.focus} <= set(eeg.FOCI)
        height = dict(zip(eeg.ELECTRODES, epilepsy.rhythms[0].field, strict=True))
        assert height[epilepsy.focus] > 0.6 * max(height.values())


def test_chbmit_is_marked_and_repeats_with_the_seed(chb, tmp_path):
    mark = json.loads((chb / "SIMULATED.json").read_text())
    asked = {"records": 5, "seed": 1, "version": files.VERSION, "minutes": 2.5, "files_per_subject": 2}
    written = [path for path in chb.rglob("*") if path.is_file() and path.name != "SIMULATED.json"]
    assert mark == asked | {"files": len(written), "bytes": sum(path.stat().st_size for path in written)}
    chbmit.write(tmp_path / "again", 1, seed=1, minutes=2.5, files_per_subject=2)
    assert not list(tmp_path.rglob("*.part"))
    chbmit.write(tmp_path / "twice", 1, seed=1, minutes=2.5, files_per_subject=2)
    one, two = ((tmp_path / name / "chb01/chb01_01.edf").read_bytes() for name in ("again", "twice"))
    assert one == two


@pytest.mark.parametrize("write", [chbmit.write, helsinki.write])
def test_nothing_is_written_over_or_out_of_nonsense(write, tmp_path):
    with pytest.raises(ValueError, match="at least"):
        write(tmp_path / "none", 0)
    with pytest.raises(ValueError, match="at least"):
        write(tmp_path / "short", 1, minutes=0.5)
    (tmp_path / "own.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not empty"):
        write(tmp_path, 1)


# --- Helsinki ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def neonates(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "helsinki"
    helsinki.write(root, 12, seed=2, minutes=1.5)
    return root


def test_neonates_have_the_official_channels_and_a_row_per_second(neonates):
    tables = {}
    for expert in "ABC":
        with open(neonates / f"annotations_2017_{expert}.csv", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == [str(number) for number in range(1, 13)]
        tables[expert] = np.array(rows)
    orders = set()
    for number in range(1, 13):
        edf = read_edf(neonates / f"eeg{number}.edf")
        labels = tuple(channel.label for channel in edf.signals)
        orders.add(labels)
        assert set(labels) == {*(f"EEG {name}-Ref" for name in helsinki.CHANNELS), "ECG", "Resp"}
        assert all(channel.sampling_frequency == 256 for channel in edf.signals)
        for table in tables.values():
            column = table[:, number - 1]
            assert set(column[: edf.num_data_records]) <= {"0", "1"}
            assert (column[edf.num_data_records :] == "").all()
    assert len(orders) > 1


def test_experts_mostly_agree_and_some_neonates_have_no_seizure(neonates):
    marks = []
    for expert in "ABC":
        with open(neonates / f"annotations_2017_{expert}.csv", newline="") as file:
            marks.append(np.array(list(csv.reader(file))[1:]) == "1")
    marks = np.array(marks)
    affected = (marks.sum(axis=0) >= 2).any(axis=0).sum()
    assert 2 <= affected <= 8
    assert (marks[0] != marks[1]).any()
    agreement = (marks[0] & marks[1]).sum() / (marks[0] | marks[1]).sum()
    assert 0.4 < agreement < 1


def test_neonatal_eeg_is_slow_and_low(neonates):
    powers = []
    for path in neonates.glob("eeg*.edf"):
        channels = [channel.data for channel in read_edf(path).signals if channel.label.startswith("EEG")]
        powers.append(np.median(np.log10(band_powers(windows(np.array(channels)))), axis=(0, 1)))
    power = np.median(powers, axis=0)
    assert 0.8 < power[0] < 2.6 and (np.diff(power) < -0.3).all()

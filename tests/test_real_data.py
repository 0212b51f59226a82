"""The loaders on real sets, where environment variable BIOSIGNALS_DATA names a folder that holds them."""

import os
from pathlib import Path

import numpy as np
import pytest
import wfdb

from biosignals.data import (
    afdb,
    bidmc,
    chbmit,
    cinc2017,
    cpsc2021,
    eeg,
    helsinki,
    ludb,
    ppgbp,
    preparation,
    ptbxl,
    rhythms,
    sources,
    splits,
    wfppg,
)
from biosignals.signals.eeg_features import ar2
from biosignals.signals.pulses import pulse_types
from biosignals.signals.quality import einthoven_error
from conftest import ROOT

FOLDER = Path(os.environ.get("BIOSIGNALS_DATA") or "/nowhere")
FOLDS_OF_EXCERPT = [241, 284, 285, 248, 293, 265, 270, 286, 230, 228]
needs = {
    name: pytest.mark.skipif(not (FOLDER / name).is_dir(), reason=f"no {name} in BIOSIGNALS_DATA")
    for name in sources.OFFICIAL
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def ptb(cache):
    return ptbxl.load(FOLDER / "ptb-xl", cache=cache)


@needs["ptb-xl"]
def test_every_ptbxl_record_loads_in_its_fold(ptb):
    assert ptb.excluded.empty
    counts = ptb.table["fold"].value_counts().sort_index().tolist()
    if sources.kind_of("ptb-xl", FOLDER / "ptb-xl") == "excerpt":
        assert counts == FOLDS_OF_EXCERPT
    else:
        assert sum(counts) == 21_799 and counts[8:] == [2183, 2198]


@needs["ptb-xl"]
def test_the_test_fold_is_as_described(ptb):
    if sources.kind_of("ptb-xl", FOLDER / "ptb-xl") != "excerpt":
        pytest.skip("figures of the excerpt")
    test = ptb.table.iloc[splits.by_fold(ptb.table)["test"]]
    labelled = test[test[list(ptbxl.SUPERCLASSES)].any(axis=1)]
    assert (len(labelled), labelled["subject"].nunique(), test["AFIB"].sum()) == (223, 216, 20)
    assert ptb.table["AFIB"].sum() - test["AFIB"].sum() == 161


@needs["ptb-xl"]
def test_no_patient_is_in_two_groups_of_folds(ptb):
    assert sum(len(held_out) for _, held_out in splits.groups(ptb.table)) == (ptb.table["fold"] < 10).sum()


@needs["ptb-xl"]
def test_the_codes_are_those_of_the_statements_file(ptb):
    assert list(ptbxl.read_statements(FOLDER / "ptb-xl").index) == ptbxl.CODES
    assert ptbxl.statements(ptb.table).to_numpy().any(axis=1).all()


@needs["ptb-xl"]
def test_ptbxl_values_are_wfdbs(ptb):
    for row in np.random.default_rng(0).choice(len(ptb), 25, replace=False):
        expected, about = wfdb.rdsamp(str(FOLDER / "ptb-xl" / ptb.table["filename_lr"].iloc[row]))
        assert tuple(about["sig_name"]) == ptb.channels
        assert np.allclose(ptb.physical([row])[0], expected.T, atol=1e-6)


@needs["ptb-xl"]
def test_500_hz_gives_lead_i_and_says_so_where_there_is_no_more(cache):
    lead = ptbxl.load(FOLDER / "ptb-xl", 500, leads=("I",), cache=cache)
    assert lead.signals.shape[1:] == (1, 5000) and lead.excluded.empty
    if sources.kind_of("ptb-xl", FOLDER / "ptb-xl") == "excerpt":
        with pytest.raises(ValueError, match="2621 of 2630 recordings at 500 Hz .* most hold only I "):
            ptbxl.load(FOLDER / "ptb-xl", 500, cache=cache)
        twelve = lead.table.index[lead.table.index <= 10]
        assert ptbxl.load(FOLDER / "ptb-xl", 500, records=twelve, cache=cache).signals.shape[1] == 12


@needs["cinc2017"]
def test_every_cinc_record_loads_with_wfdbs_values(cache):
    labels = cinc2017.read_reference(FOLDER / "cinc2017")
    recordings = cinc2017.load(FOLDER / "cinc2017", records=labels.index, cache=cache)
    assert list(recordings.table.index) == list(labels.index) and recordings.excluded.empty
    for row in np.random.default_rng(0).choice(len(recordings), 25, replace=False):
        record = recordings.table.index[row]
        expected, _ = wfdb.rdsamp(str(FOLDER / "cinc2017/training2017" / record))
        samples = recordings.table["samples"].iloc[row]
        assert samples == len(expected)
        assert np.allclose(recordings.physical([row])[0, 0, :samples], expected[:, 0], atol=1e-6)


@needs["cinc2017"]
def test_records_set_aside_are_only_read_when_named(cache):
    recordings = cinc2017.load(FOLDER / "cinc2017", cache=cache)
    aside = cinc2017.read_set_aside(FOLDER / "cinc2017")
    assert len(recordings) == len(cinc2017.read_reference(FOLDER / "cinc2017")) - len(aside)
    assert not set(recordings.table.index) & set(aside)


@needs["cinc2017"]
def test_cincs_final_labels_are_read_where_they_are(cache):
    final, older = FOLDER / "cinc2017/REFERENCE-v3.csv", FOLDER / "cinc2017/training2017/REFERENCE.csv"
    if not final.is_file():
        pytest.skip("no final labels")
    expected = dict(line.split(",") for line in final.read_text().split())
    recordings = cinc2017.load(FOLDER / "cinc2017", cache=cache)
    table = recordings.table
    assert table["label"].to_dict() == {record: expected[record] for record in table.index}
    assert set(table["label_file"]) == {final.name}
    before = dict(line.split(",") for line in older.read_text().split())
    changed = sum(expected[record] != before[record] for record in table.index)
    assert changed == 56 or len(expected) != 7_528  # of the 3,411 that the excerpt does not set aside


@needs["chb-mit"]
def test_all_real_summaries_parse_and_hold_198_seizures():
    listed = [
        chbmit.read_summary(path) for path in sorted((FOLDER / "chb-mit").glob("chb*/chb*-summary.txt"))
    ]
    assert len(listed) == 24
    assert sum(len(file.seizures) for case in listed for file in case.values()) == 198
    assert not [file for case in listed for file in case.values() if file.fault]


@needs["chb-mit"]
@pytest.mark.skipif(not (FOLDER / "chb-mit/excerpts").is_dir(), reason="no excerpts")
def test_whole_seizures_are_read_as_the_windows_cut_from_them():
    windows = chbmit.load_windows(FOLDER / "chb-mit")
    seizures, excluded = chbmit.find_seizure_excerpts(FOLDER / "chb-mit")
    assert len(windows) == 19 and len(seizures) == 4 and excluded.empty
    by_recording = windows.table.reset_index(drop=True).query("seizure").set_index("recording")
    positions = dict(zip(by_recording.index, np.flatnonzero(windows.table.seizure)))
    for seizure in seizures:
        window = windows.physical([positions[seizure.name.removesuffix("_seizure")]])[0]
        assert np.abs(eeg.read(seizure, 2560, 5120) - window).max() < 0.05


@needs["helsinki"]
def test_all_neonates_are_found_with_three_experts():
    recordings, excluded = helsinki.find(FOLDER / "helsinki")
    tables = helsinki.annotations(FOLDER / "helsinki")
    assert len(recordings) in (46, 79) and excluded.empty and list(tables) == ["A", "B", "C"]
    if len(recordings) == 46:
        shares = [round(float(np.nanmean(table.to_numpy())), 2) for table in tables.values()]
        assert shares == [0.59, 0.58, 0.44]


@needs["helsinki"]
def test_the_card_counts_mixed_neonates_as_the_annotations_and_chapter_5_do(cache):
    votes = sum(helsinki.annotations(FOLDER / "helsinki").values())
    seconds = (votes >= 2).where(votes.notna()).mean()
    if len(helsinki.find(FOLDER / "helsinki")[0]) != 46:
        pytest.skip("figures of the excerpt")
    windows = helsinki.load(FOLDER / "helsinki", seconds=4, step=1, cache=cache).table
    of_windows = (windows.majority > 0.5).groupby(windows.subject).mean()
    mixed = [int(share.between(0, 1, inclusive="neither").sum()) for share in (seconds, of_windows)]
    words = {5: "five", 7: "seven"}
    card = " ".join((ROOT / "book/data/helsinki.md").read_text().split())
    assert f"{46 - mixed[0]} of the 46 have one label throughout" in card
    assert f"{words[mixed[0]]} have seconds of both labels" in card
    assert f"{words[mixed[1]]} neonates have both kinds" in card


@needs["bidmc"]
def test_all_of_bidmc_loads_with_its_46_subjects(cache):
    recordings = bidmc.load(FOLDER / "bidmc", cache=cache)
    assert len(recordings) == 53 and recordings.table["subject"].nunique() == 46 and recordings.excluded.empty
    assert recordings.signals.shape[1:] in ((2, 15_000), (2, 60_001))
    assert len(bidmc.load(FOLDER / "bidmc", channels=("V", "AVR"), cache=cache)) == 45


@needs["bidmc"]
def test_bidmcs_pulses_have_the_types_that_were_counted_before(cache):
    recordings = bidmc.load(FOLDER / "bidmc", cache=cache)
    if recordings.signals.shape[-1] > 15_000:
        pytest.skip("figures of the excerpt")
    found = preparation.segment_pulses(recordings, "PLETH")
    shares = 100 * found.table["type"].value_counts(normalize=True)
    for name, share in {"1L": 81, "3": 8.5, "1": 6.5, "2L": 3.5, "2E": 0.1}.items():
        assert abs(shares[name] - share) < 1
    assert 8_900 < len(found) < 9_100


@needs["wf-ppg"]
def test_the_tables_of_subject_1000_hold_1707_pulses():
    table = wfppg.tables(FOLDER / "wf-ppg").query("subject == '1000'")
    assert len(table) == 1707 and sorted(table["window"].unique()) == [0, 1, 2, 3, 4, 5]
    shares = table["in_t"].value_counts(normalize=True).round(2)
    assert shares.to_dict() == {"3": 0.41, "1": 0.40, "2E": 0.11, "2L": 0.06, "1L": 0.03}


@needs["wf-ppg"]
def test_the_rule_gives_the_released_types(cache):
    if not wfppg.complete(FOLDER / "wf-ppg"):
        pytest.skip("tables without signals")
    for channel in ("PPG_In_G_AC", "PPG_Ref_G_AC"):
        recordings = wfppg.load(FOLDER / "wf-ppg", channel, cache)
        found = pulse_types(recordings.signals[:, 0], recordings.table["samples"].to_numpy())
        assert np.mean(found == recordings.table["type"]) > 0.99


@needs["chb-mit"]
@pytest.mark.skipif(not (FOLDER / "chb-mit/features").is_dir(), reason="no features")
def test_features_equal_those_computed_from_the_windows_of_chb01_21():
    recordings, excluded = chbmit.load_ar2(FOLDER / "chb-mit")
    assert len(recordings) == 35 and excluded["record"].str.contains("preictal").sum() == len(excluded) == 6
    assert [(one.name, one.seizures) for one in recordings if one.seizures] == [("chb01_21", ((327, 420),))]
    assert round(sum(len(one.features) for one in recordings) * 500 / 256 / 3600, 1) == 33.3
    stored = next(one for one in recordings if one.name == "chb01_21")
    windows = chbmit.load_windows(FOLDER / "chb-mit")
    compared = 0
    for kind, start in (("seizure", 337), ("background", 317)):  # seconds into the recording
        x = windows.physical([windows.table.index.get_loc(f"chb01_21@{kind}")])[0]
        ends = np.rint(stored.times * 256).astype(int) - start * 256
        for row in np.flatnonzero((ends >= 501) & (ends <= 2560)):
            found = ar2(x[:, ends[row] - 501 : ends[row]])
            assert np.abs(found - stored.features[row]).max() < 1e-5
            compared += 1
    assert compared == 8


@needs["chb-mit"]
@pytest.mark.skipif(not (FOLDER / "chb-mit/excerpts").is_dir(), reason="no excerpts")
def test_features_of_whole_seizures_are_computed():
    seizures, _ = chbmit.find_seizure_excerpts(FOLDER / "chb-mit")
    for one in map(chbmit.compute_ar2, seizures):
        assert len(one.features) > 9 and np.isfinite(one.features).all()


@needs["ludb"]
def test_every_ludb_record_loads_with_its_stored_integers(cache):
    recordings = ludb.load(FOLDER / "ludb", cache=cache)
    there = sources.THERE["ludb"](FOLDER / "ludb")
    assert len(recordings) == len(there) and recordings.excluded.empty
    assert (recordings.table["AFIB"].sum(), recordings.table["AFLT"].sum()) == (15, 3) or len(there) < 200
    for record, signals in zip(recordings.table.index, recordings.signals):
        stored = wfdb.rdrecord(str(FOLDER / "ludb/data" / record), physical=False)
        assert np.array_equal(signals, stored.d_signal.T)
    assert einthoven_error(recordings.physical()).max() <= 0.0011  # so the integers are microvolts


@needs["ludb"]
@pytest.mark.parametrize("lead", ludb.LEADS)
def test_every_wave_of_ludb_is_where_wfdb_reads_its_marks(lead):
    waves, excluded = ludb.waves(FOLDER / "ludb", leads=(lead,))
    assert excluded.empty
    marked = dict.fromkeys(("(", ")", *ludb.WAVES), 0)
    for record, own in waves.groupby("record"):
        marks = wfdb.rdann(str(FOLDER / "ludb/data" / record), lead.lower())
        peaks = [
            (s, ludb.WAVES[symbol]) for s, symbol in zip(marks.sample, marks.symbol) if symbol in ludb.WAVES
        ]
        assert list(zip(own["peak"], own["wave"])) == peaks
        assert set(own["onset"].dropna()) <= set(marks.sample[np.array(marks.symbol) == "("])
        assert set(own["end"].dropna()) <= set(marks.sample[np.array(marks.symbol) == ")"])
        for symbol in marked:
            marked[symbol] += marks.symbol.count(symbol)
    assert waves["wave"].value_counts().to_dict() == {
        name: marked[symbol] for symbol, name in ludb.WAVES.items()
    }
    assert waves["onset"].notna().sum() >= marked["("] - 30 and waves["end"].notna().sum() >= marked[")"] - 30


@needs["cpsc2021"]
def test_every_cpsc_record_loads_with_wfdbs_signals_and_beats(cache):
    recordings, excluded = cpsc2021.find(FOLDER / "cpsc2021")
    there = sources.THERE["cpsc2021"](FOLDER / "cpsc2021")
    assert len(recordings) == len(there) and excluded.empty
    windows = cpsc2021.load(FOLDER / "cpsc2021", leads=("I", "II"), cache=cache)
    assert windows.excluded.empty and not windows.table["AFIB"].isna().any()
    for one in recordings[:: max(len(recordings) // 25, 1)]:
        marks = wfdb.rdann(str(one.path), "atr")
        symbols = np.array(marks.symbol)
        assert np.array_equal(one.beats, marks.sample[symbols != "+"]) and list(one.types) == list(
            symbols[symbols != "+"]
        )
        expected, _ = wfdb.rdsamp(str(one.path))
        rows = np.flatnonzero(windows.table["recording"] == one.name)
        found = np.concatenate(windows.physical(rows), axis=-1)
        assert np.abs(found - expected.T[:, : found.shape[1]]).max() < 5.1e-4
    if len(there) == 22:
        minutes = sum(one.seconds for one in recordings) / 60
        fibrillating = (
            sum(e - s for one in recordings for s, e, name in one.episodes if name in ("AFIB", "AFL")) / 60
        )
        assert (round(minutes), round(fibrillating), windows.table["subject"].nunique()) == (85, 32, 9)


@pytest.fixture(scope="module")
def af():
    return afdb.find(FOLDER / "afdb")


@needs["afdb"]
def test_every_afdb_record_has_wfdbs_beats_and_rhythms(af):
    recordings, excluded = af
    assert len(recordings) == len(sources.THERE["afdb"](FOLDER / "afdb")) and excluded.empty
    for one in recordings:
        marks = wfdb.rdann(str(one.path), "atr")
        assert [round(start * 250) for start, _, name in one.episodes if name] == marks.sample.tolist()
        notes = [note.strip("\0") for note in marks.aux_note]
        assert [f"({name}" for _, _, name in one.episodes if name] == notes
    beats = wfdb.rdann(str(recordings[0].path), "qrs")
    assert np.array_equal(recordings[0].beats, beats.sample)


@needs["afdb"]
def test_afdb_holds_93_hours_of_fibrillation_and_a_few_gaps(af):
    recordings, _ = af
    if len(recordings) != 25:
        pytest.skip("figures of the whole set")
    spans = [end - start for one in recordings for start, end, name in one.episodes if name == "AFIB"]
    assert len(spans) == 299 and round(sum(spans) / 3600) == 93
    table = rhythms.beats(recordings)
    assert len(table) == 1_221_559 and table["rr"].isna().sum() == 25 + 13  # the first of each, and gaps
    gaps = table[table["rr"].isna() & (table["recording"].shift() == table["recording"])]
    assert set(gaps["recording"]) == {"04048", "05091", "07879", "07910"}


@needs["ppg-bp"]
def test_every_ppgbp_segment_loads_or_is_of_two_subjects(cache):
    recordings = ppgbp.load(FOLDER / "ppg-bp", cache=cache)
    there = sources.THERE["ppg-bp"](FOLDER / "ppg-bp")
    assert len(recordings) + len(recordings.excluded) == len(there)
    assert recordings.excluded["reason"].str.contains("the same for subjects").all()
    folder = {path.stem: path for path in (FOLDER / "ppg-bp").rglob("[0-9]*_[0-9].txt")}
    for record, signals, samples in zip(
        recordings.table.index, recordings.signals, recordings.table["samples"]
    ):
        assert np.array_equal(
            signals[0, :samples], np.loadtxt(folder[record], delimiter="\t", usecols=range(samples))
        )
    if len(there) == 657:
        assert recordings.excluded["record"].tolist() == ["23_3", "24_1"]
        assert recordings.table["subject"].nunique() == 219
        assert recordings.table.index[recordings.table["samples"] == 4200].tolist() == ["231_1", "231_2"]

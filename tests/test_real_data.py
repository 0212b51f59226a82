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
)  # fmt: skip
from biosignals.signals.pulses import pulse_types

FOLDER = Path(os.environ.get("BIOSIGNALS_DATA") or "/nowhere")
FOLDS_OF_EXCERPT = [241, 284, 285, 248, 293, 265, 270, 286, 230, 228]
needs = {
    name: pytest.mark.skipif(not (FOLDER / name).is_dir(), reason=f"no {name} in BIOSIGNALS_DATA")
    for name in (
        "ptb-xl",
        "cinc2017",
        "chb-mit",
        "helsinki",
        "wf-ppg",
        "bidmc",
        "ludb",
        "cpsc2021",
        "afdb",
        "ppg-bp",
    )
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
    aside = cinc2017._read_set_aside(FOLDER / "cinc2017")
    assert len(recordings) == len(cinc2017.read_reference(FOLDER / "cinc2017")) - len(aside)
    assert not set(recordings.table.index) & set(aside)


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


@needs["ludb"]
def test_ludbs_digital_values_and_wave_marks_are_wfdbs(cache):
    recordings = ludb.load(FOLDER / "ludb", cache=cache)
    assert recordings.excluded.empty and len(recordings) == recordings.table["subject"].nunique() == 200
    for place in (0, 99, 199):
        stem = str(FOLDER / "ludb/data" / str(recordings.table.index[place]))
        digital = wfdb.rdrecord(stem, physical=False).d_signal
        np.testing.assert_array_equal(recordings.signals[place], digital.T)  # microvolts
        marks = wfdb.rdann(stem, "ii")
        waves, _ = ludb.waves(FOLDER / "ludb", records=[str(recordings.table.index[place])])
        own = waves[(waves.record.astype(str) == str(recordings.table.index[place])) & (waves.lead == "II")]
        peaks = marks.sample[np.isin(marks.symbol, ["p", "N", "t"])]
        np.testing.assert_array_equal(np.sort(own.peak), peaks)


@needs["cpsc2021"]
def test_cpsc2021s_windows_are_wfdbs_samples_of_its_patients(cache):
    recordings = cpsc2021.load(FOLDER / "cpsc2021", cache=cache)
    assert recordings.excluded.empty
    assert {str(one) for one in recordings.table["subject"]} == {
        path.name.split("_")[1] for path in (FOLDER / "cpsc2021").glob("*.hea")
    }
    row = recordings.table.iloc[-1]
    record = wfdb.rdrecord(str(FOLDER / "cpsc2021" / row["recording"]))
    start = int(row["start"] * 200)
    np.testing.assert_allclose(
        recordings.physical([-1])[0, 0], record.p_signal[start : start + 2000, 0], atol=6e-4
    )


@needs["afdb"]
def test_249_hours_of_afdb_have_the_beats_that_wfdb_reads():
    found, excluded = afdb.find(FOLDER / "afdb")
    assert len(found) == 25 and excluded.empty
    assert sum(one.seconds for one in found) / 3600 == pytest.approx(249, abs=1)
    table, _ = rhythms.windows(found)
    assert table["subject"].nunique() == 25 and 0.3 < table["AFIB"].mean() < 0.45
    marks = wfdb.rdann(str(FOLDER / "afdb" / found[0].name), "qrs")
    assert len(found[0].beats) == np.isin(marks.symbol, list(rhythms.BEATS)).sum()


@needs["ppg-bp"]
def test_ppg_bp_has_219_subjects_and_a_repeated_segment(cache):
    recordings = ppgbp.load(FOLDER / "ppg-bp", cache=cache)
    assert recordings.table["subject"].nunique() == 219
    assert recordings.excluded["record"].tolist() == ["23_3", "24_1"]
    first = np.loadtxt(FOLDER / "ppg-bp" / "0_subject" / f"{recordings.table.index[0]}.txt")
    np.testing.assert_array_equal(recordings.signals[0, 0, : len(first)], first)


@needs["chb-mit"]
def test_33_hours_of_ar2_features_agree_with_the_window_cut_from_them():
    found, _ = chbmit.load_ar2(FOLDER / "chb-mit")
    assert 33 < sum(len(one.features) for one in found) * 500 / 256 / 3600 < 34
    assert sum(len(one.seizures) for one in found) == 1

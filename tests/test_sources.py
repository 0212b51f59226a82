import errno
import multiprocessing
from pathlib import Path

import pytest

import tiny_sets
from biosignals import caching, simulate
from biosignals.data import bidmc, cinc2017, helsinki, ptbxl, sources


@pytest.fixture
def data(tmp_path):
    tiny_sets.write_ptbxl(tmp_path / "data/ptb-xl", records=2)
    tiny_sets.write_cinc2017(tmp_path / "data/cinc2017")
    return tmp_path / "data"


@pytest.fixture
def runs(monkeypatch):
    """Replaces the PTB-XL simulator by one that writes next to nothing; lists what it was asked for."""
    asked = []

    def write(root, records, seed):
        asked.append((records, seed))
        simulate.files.finish(root, records, seed)

    monkeypatch.setitem(sources.SIMULATORS, "ptb-xl", write)
    return asked


def test_a_part_of_a_set_is_an_excerpt_and_all_of_it_is_real(data, tmp_path, monkeypatch):
    tiny_sets.write_ptbxl(data / "ptb-xl", records=2, sampling_rate=500)
    assert sources.locate("ptb-xl", data, tmp_path, 10) == sources.Source(
        "ptb-xl", data / "ptb-xl", "excerpt"
    )
    assert sources.locate("cinc2017", str(data), tmp_path, 10).kind == "excerpt"
    monkeypatch.setattr(sources, "OFFICIAL", {"ptb-xl": 2, "cinc2017": 4})
    assert sources.locate("ptb-xl", data, tmp_path, 10).kind == "real"
    assert sources.locate("cinc2017", data, tmp_path, 10).kind == "real"


@pytest.mark.parametrize(
    ("dataset", "lost", "there", "absent"),
    [
        ("ptb-xl", "records100/*/00001_lr.dat", ("2",), ("1",)),
        ("ptb-xl", "records100/*/00001_lr.hea", ("2",), ("1",)),
        ("cinc2017", "training2017/A00003.mat", ("A00001", "A00002", "A00004"), ("A00003",)),
    ],
)
def test_a_table_of_all_records_without_their_files_is_no_whole_set(
    data, monkeypatch, dataset, lost, there, absent
):
    monkeypatch.setattr(sources, "OFFICIAL", {"ptb-xl": 2, "cinc2017": 4})
    (path,) = (data / dataset).glob(lost)
    path.unlink()
    found = sources.find(dataset, data)
    assert (found.kind, found.there, found.absent) == ("excerpt", there, absent)


@pytest.mark.parametrize(
    ("dataset", "names"),
    [
        ("sph", ["records/A00001.h5"]),
        ("chb-mit", ["chb02/chb02_16+.edf"]),
        ("helsinki", ["eeg1.edf"]),
        ("ludb", ["data/1.hea", "data/1.dat"]),
        ("cpsc2021", ["Training_set_I/data_0_1.hea", "Training_set_I/data_0_1.dat"]),
        ("afdb", ["04015.qrs", "04015.atr", "04015.hea", "04015.dat"]),
    ],
)
def test_copies_and_what_systems_put_beside_files_are_no_recordings(tmp_path, monkeypatch, dataset, names):
    monkeypatch.setattr(sources, "OFFICIAL", {dataset: 2})
    for name in map((tmp_path / dataset).joinpath, names):
        name.parent.mkdir(parents=True, exist_ok=True)
        for other in (
            name.name,
            f"._{name.name}",
            f"{name.stem} (1){name.suffix}",
            f"{name.stem} copy{name.suffix}",
        ):
            with open(name.with_name(other), "wb") as file:
                file.truncate(helsinki.SMALLEST + 1)
    found = sources.find(dataset, tmp_path)
    assert (found.kind, len(found.there)) == ("excerpt", 1)


def test_ptbxl_at_one_sampling_rate_is_an_excerpt_of_the_release(data, monkeypatch):
    monkeypatch.setattr(sources, "OFFICIAL", {"ptb-xl": 2})
    assert sources.find("ptb-xl", data).kind == "excerpt"


def test_all_records_cut_short_are_an_excerpt_that_is_used(tmp_path, monkeypatch):
    folder = tmp_path / "bidmc/bidmc_csv"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sources, "OFFICIAL", {"bidmc": 1})
    for end, kind in {119.99: "excerpt", 480: "real"}.items():
        (folder / "bidmc_01_Signals.csv").write_text(f"Time [s], II, PLETH\n0,0,0\n{end},0,0\n")
        assert sources.locate("bidmc", tmp_path, tmp_path, 1) == sources.Source("bidmc", folder.parent, kind)


def test_half_minutes_of_all_neonates_and_annotations_without_signals_are_excerpts(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "OFFICIAL", {"helsinki": 1, "afdb": 2})
    (tmp_path / "helsinki").mkdir()
    for size, kind in {300_000: "excerpt", 10_000_000: "real"}.items():
        with open(tmp_path / "helsinki/eeg1.edf", "wb") as file:
            file.truncate(size)
        assert sources.find("helsinki", tmp_path).kind == kind
    for record in ("00735", "04015"):
        tiny_sets.write_afdb(tmp_path / "afdb", record, [100, 300, 500], {90: "(N"})
    assert sources.find("afdb", tmp_path).kind == "excerpt"
    for end in (".dat", ".hea"):  # the other one has none in the release either
        (tmp_path / f"afdb/04015{end}").touch()
    assert sources.find("afdb", tmp_path).kind == "real"


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("ptb-xl", "ptbxl"), ("ptb-xl", "PTB_XL"), ("ptb-xl", "ptb-xl-1.0.3"), ("ptb-xl", "prb-xl"),
        ("cinc2017", "CinC-2017"), ("chb-mit", "chbmit"), ("wf-ppg", "wf_ppg"), ("ppg-bp", "PPG BP"),
    ],
)  # fmt: skip
def test_a_folder_that_is_named_almost_as_the_set_is_found(tmp_path, dataset, name):
    (tmp_path / name).mkdir()
    assert sources.misplaced(dataset, tmp_path) == [tmp_path / name]


def test_other_sets_and_other_folders_are_no_misnamed_ones(tmp_path):
    for name in (*sources.OFFICIAL, "notes", "cache", "mitdb", "ptb", "ppg"):
        (tmp_path / name).mkdir()
    assert not [found for dataset in sources.OFFICIAL for found in sources.misplaced(dataset, tmp_path)]


@pytest.mark.parametrize("place", ["physionet", "ptb-xl/unpacked", "."])
def test_a_set_is_known_by_what_it_holds_wherever_it_lies(tmp_path, place):
    tiny_sets.write_ptbxl(tmp_path / place, records=2)
    assert sources.misplaced("ptb-xl", tmp_path) == [tmp_path / place]
    assert sources.misplaced("cinc2017", tmp_path) == []


def test_a_list_of_records_makes_an_excerpt_of_a_real_set_only(data, tmp_path, runs):
    source = sources.locate("cinc2017", data, tmp_path, 10, listed=["A00003", "A00001"])
    assert (source.kind, source.listed) == ("excerpt", ("A00003", "A00001"))
    source = sources.locate("ptb-xl", None, tmp_path, 10, listed=["5"])
    assert (source.kind, source.listed) == ("simulated", None)


def test_a_set_that_is_whole_is_left_without_the_lock_of_a_killed_process(tmp_path):
    root = sources.locate("ppg-bp", None, tmp_path / "simulated", 1).root
    sources.load(sources.Source("ppg-bp", root, "simulated"), tmp_path / "cache")
    (kept,) = (tmp_path / "cache").iterdir()
    locks = [place.with_name(f".{place.name}.lock") for place in (root, kept)]
    for lock in locks:
        lock.touch()
    again = sources.locate("ppg-bp", None, tmp_path / "simulated", 1)
    sources.load(again, tmp_path / "cache")
    assert not any(lock.exists() for lock in locks)


def test_simulated_recordings_in_the_data_folder_say_so(data, tmp_path):
    (data / "ptb-xl/SIMULATED.json").write_text("{}")
    assert sources.locate("ptb-xl", data, tmp_path, 10).kind == "simulated"


@pytest.mark.parametrize("folder", [None, ""])
def test_without_a_folder_a_set_is_simulated_once_per_size_and_seed(folder, tmp_path, runs):
    first = sources.locate("ptb-xl", folder, tmp_path / "simulated", 10, seed=3)
    assert first == sources.Source("ptb-xl", tmp_path / "simulated/ptb-xl-10-3", "simulated")
    assert sources.locate("ptb-xl", folder, tmp_path / "simulated", 10, seed=3) == first
    sources.locate("ptb-xl", folder, tmp_path / "simulated", 20, seed=3)
    sources.locate("ptb-xl", folder, tmp_path / "simulated", 10, seed=4)
    assert runs == [(10, 3), (20, 3), (10, 4)]


def test_a_set_that_is_not_in_the_folder_is_simulated(tmp_path, runs):
    (tmp_path / "data/cinc2017").mkdir(parents=True)
    assert sources.locate("ptb-xl", tmp_path / "data", tmp_path / "simulated", 10).kind == "simulated"


@pytest.mark.parametrize("mark", [None, "", '{"records": 10, "seed": 0, "version": -1}', "[]"])
def test_a_simulated_set_left_unfinished_or_outdated_is_made_again(tmp_path, runs, mark):
    root = tmp_path / "ptb-xl-10-0"
    root.mkdir()
    (root / "half").write_text("")
    if mark is not None:
        (root / "SIMULATED.json").write_text(mark)
    sources.locate("ptb-xl", None, tmp_path, 10)
    assert runs == [(10, 0)] and not (root / "half").exists()


def test_a_simulation_that_fails_leaves_no_set(tmp_path, monkeypatch):
    def fail(root, records, seed):
        (root / "half").write_text("")
        raise OSError("disk full")

    monkeypatch.setitem(sources.SIMULATORS, "ptb-xl", fail)
    with pytest.raises(OSError, match="disk full"):
        sources.locate("ptb-xl", None, tmp_path, 10)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_a_simulation_on_a_full_disk_names_its_folder_what_is_needed_and_the_remedy(tmp_path, monkeypatch):
    write = Path.write_bytes

    def until_full(path, data):
        if path.suffix == ".hea":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", until_full)
    expected = r"ptb-xl-10-0: the disk is full; free space needed: more than \d+ kB\. Make room.*run again"
    with pytest.raises(caching.DiskFull, match=expected):
        sources.locate("ptb-xl", None, tmp_path, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["lost", "cut", "hidden"])
def test_a_simulated_set_that_lost_files_is_made_again(damage, tmp_path):
    root = sources.locate("bidmc", None, tmp_path, 2, minutes=0.5).root
    file = root / "bidmc_csv/bidmc_02_Signals.csv"
    content, mark = file.read_bytes(), (root / "SIMULATED.json").stat().st_mtime_ns
    if damage == "lost":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(content[:-100])
    else:
        (root / ".DS_Store").touch()  # of the system: nothing is lost
    assert sources.locate("bidmc", None, tmp_path, 2, minutes=0.5).root == root
    assert file.read_bytes() == content
    assert ((root / "SIMULATED.json").stat().st_mtime_ns == mark) == (damage == "hidden")


def test_a_whole_simulated_set_is_found_where_nothing_can_be_written(tmp_path, monkeypatch, runs):
    root = sources.locate("ptb-xl", None, tmp_path, 10).root

    def fail(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    (tmp_path / f".{root.name}.lock").touch()  # of a killed process: it cannot be removed here
    for name in ("locked", "replacing", "writing"):
        monkeypatch.setattr(sources.caching, name, fail)
    monkeypatch.setattr(Path, "unlink", fail)
    assert sources.locate("ptb-xl", None, tmp_path, 10).root == root and len(runs) == 1


def test_of_two_processes_one_simulates_and_both_find_all_of_it(tmp_path, monkeypatch):
    context = multiprocessing.get_context("fork")
    start, write = context.Barrier(2), simulate.bidmc.write

    def log(line):
        with open(tmp_path / "log", "a") as file:
            file.write(f"{line}\n")

    def locate():
        noted = {"bidmc": lambda *args, **options: log("writes") or write(*args, **options)}
        monkeypatch.setattr(sources, "SIMULATORS", noted)
        start.wait()
        root = sources.locate("bidmc", None, tmp_path / "sets", 3, minutes=0.5).root
        log(len(bidmc.load(root, cache=tmp_path / "cache")))

    workers = [context.Process(target=locate) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted((tmp_path / "log").read_text().split()) == ["3", "3", "writes"]
    assert {path.name for path in (tmp_path / "sets").iterdir()} == {"bidmc-3-0-0.5"}


def test_simulated_sets_load_like_real_ones(tmp_path):
    root = sources.locate("ptb-xl", None, tmp_path, 30, seed=1).root
    recordings = ptbxl.load(root, cache=tmp_path / "cache")
    assert len(recordings) == 30 and recordings.excluded.empty
    assert len(ptbxl.load(root, 500, cache=tmp_path / "cache")) == 30
    root = sources.locate("cinc2017", None, tmp_path, 20, seed=1).root
    recordings = cinc2017.load(root, cache=tmp_path / "cache")
    assert len(recordings) == 20 and recordings.excluded.empty


def test_a_missing_folder_or_an_unknown_set_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="data folder .*nowhere does not exist"):
        sources.locate("ptb-xl", tmp_path / "nowhere", tmp_path, 10)
    with pytest.raises(ValueError, match="'mitbih'; there is ptb-xl, cinc2017"):
        sources.locate("mitbih", None, tmp_path, 10)


def test_a_set_whose_recordings_are_not_there_is_simulated_with_its_own_options(data, tmp_path, monkeypatch):
    (data / "chb-mit/chb01").mkdir(parents=True)
    (data / "chb-mit/chb01/chb01-summary.txt").write_text("File Name: chb01_01.edf\n")
    asked = []

    def write(root, records, seed, **options):
        asked.append(options)
        simulate.files.finish(root, records, seed, **options)

    monkeypatch.setitem(sources.SIMULATORS, "chb-mit", write)
    for minutes in (2, 2, 3):
        source = sources.locate("chb-mit", data, tmp_path, 12, minutes=minutes, files_per_subject=1)
        assert source == sources.Source("chb-mit", tmp_path / f"chb-mit-12-0-{minutes}-1", "simulated")
    assert asked == [{"minutes": 2, "files_per_subject": 1}, {"minutes": 3, "files_per_subject": 1}]
    (data / "chb-mit/chb01/chb01_01.edf").write_bytes(b"")
    assert sources.locate("chb-mit", data, tmp_path, 12).kind == "excerpt"


@pytest.mark.parametrize(
    ("dataset", "options"),
    [
        ("sph", {}),
        ("helsinki", {"minutes": 1}),
        ("chb-mit", {"minutes": 2, "files_per_subject": 1}),
        ("wf-ppg", {"minutes": 0.5}),
        ("bidmc", {"minutes": 0.5}),
        ("ludb", {}),
        ("cpsc2021", {"minutes": 0.5}),
        ("afdb", {"hours": 0.1}),
        ("ppg-bp", {}),
    ],
)
def test_each_simulator_marks_its_set_so_that_it_is_written_once(dataset, options, tmp_path):
    root = sources.locate(dataset, "", tmp_path, 1, **options).root
    written = (root / "SIMULATED.json").stat().st_mtime_ns
    assert sources.locate(dataset, "", tmp_path, 1, **options).root == root
    assert (root / "SIMULATED.json").stat().st_mtime_ns == written


def test_tables_of_pulses_without_signals_are_no_set(data, tmp_path):
    simulate.wfppg.write(tmp_path / "whole", 1, minutes=0.5)
    (data / "wf-ppg").mkdir()
    for table in (tmp_path / "whole").glob("*_indices_*.csv"):
        (data / "wf-ppg" / table.name).write_bytes(table.read_bytes())
    assert sources.locate("wf-ppg", data, tmp_path, 1, minutes=0.5).kind == "simulated"
    name = "3_preprocessed_1000.csv"
    (data / "wf-ppg" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    found = sources.locate("wf-ppg", data, tmp_path, 1, minutes=0.5)
    assert (found.root, found.kind) == (data / "wf-ppg", "excerpt")


def write_new_sets(folder):
    tiny_sets.write_ludb(folder / "ludb")
    tiny_sets.write_cpsc2021(folder / "cpsc2021/Training_set_I", "data_0_1", 2000)
    tiny_sets.write_afdb(folder / "afdb", "04015", [100, 300, 500], {90: "(N"})
    tiny_sets.write_ppgbp(folder / "ppg-bp/Data File", {2: {}})


def test_kinds_of_the_sets_with_files_in_several_folders(tmp_path, monkeypatch):
    write_new_sets(tmp_path / "data")
    counts = {"ludb": 3, "cpsc2021": 1, "afdb": 1, "ppg-bp": 3}
    for dataset in counts:
        source = sources.locate(dataset, tmp_path / "data", tmp_path, 1)
        assert (source.root, source.kind) == (tmp_path / "data" / dataset, "excerpt")
    monkeypatch.setattr(sources, "OFFICIAL", counts)
    for end in (".dat", ".hea"):
        (tmp_path / f"data/afdb/04015{end}").touch()
    for dataset in counts:
        assert sources.locate(dataset, tmp_path / "data", tmp_path, 1).kind == "real"


def test_recordings_of_the_new_sets_come_with_their_kind(tmp_path):
    write_new_sets(tmp_path / "data")
    for dataset, count in {"ludb": 3, "cpsc2021": 1, "ppg-bp": 3}.items():
        source = sources.locate(dataset, tmp_path / "data", tmp_path, 1)
        recordings = sources.load(source, tmp_path / "cache")
        assert (recordings.dataset, recordings.kind, len(recordings)) == (dataset, "excerpt", count)
    with pytest.raises(ValueError, match="afdb has no loader of whole recordings"):
        sources.load(sources.locate("afdb", tmp_path / "data", tmp_path, 1), tmp_path / "cache")


def test_where_all_of_a_set_are_asked_for_some_are_simulated(tmp_path, runs):
    sources.locate("ptb-xl", None, tmp_path, 0)
    assert runs == [(sources.WITHOUT_NUMBER, 0)]

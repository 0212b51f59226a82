"""Tables of LabChart, AcqKnowledge and OpenSignals, which say in lines of their own what the columns are."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import NamedTuple

from biosignals.data.readers import times
from biosignals.data.readers.signal import InvalidRecording

ROWS = 50  # among which a program's lines begin
# AcqKnowledge, of a sampling rate: "4 msec/sample", "250 samples/second".
PER_SAMPLE = re.compile(r"([\d.]+)\s*(min|sec|msec|usec)/sample")
PER_TIME = re.compile(r"([\d.]+)\s*samples/(second|minute)")
CHANNELS = re.compile(r"(\d{1,3}) channels?")
CONVERTED = {"ECG": "mV", "EMG": "mV", "EEG": "uV"}  # OpenSignals' units of its sensors


class Header(NamedTuple):
    """What stands above rows: the first of their lines, names and units of the last columns (name None: holds
    no signal), and the sampling rate in Hz.
    """

    first: int
    names: tuple[str | None, ...]
    units: tuple[str, ...]
    rate: float

    def fit(self, width: int, ends_empty: bool) -> Header:
        """The same for rows of `width` cells, of which the last is empty where `ends_empty`.

        Raises InvalidRecording for rows of fewer.
        """
        before = width - len(self.names) - ends_empty
        if before < 0:
            raise InvalidRecording(f"names {len(self.names)} channels above rows of {width} cells")
        first, last = ("",) * before, ("",) * ends_empty
        return self._replace(names=(*first, *self.names, *last), units=(*first, *self.units, *last))


def header(lines: list[str]) -> Header | None:
    """What one of these programs wrote in `lines`, None where none did.

    Raises InvalidRecording for a damaged header, OpenSignals' counts, and Empatica's files, which name
    nothing.
    """
    for program, read in (
        ("LabChart", _labchart),
        ("AcqKnowledge", _acqknowledge),
        ("OpenSignals", _opensignals),
    ):
        try:
            found = read(lines)
        except (ValueError, LookupError, AttributeError, TypeError, ArithmeticError) as error:
            if isinstance(error, InvalidRecording):
                raise
            raise InvalidRecording(f"its header of {program} is damaged") from error
        if found:
            return found
    _refuse_empatica(lines)
    return None


def _labchart(lines: list[str]) -> Header | None:
    """LabChart's keys, "Interval=" and others, with a cell for each channel behind "ChannelTitle="."""
    said, last = {}, 0
    for number, line in enumerate(lines):
        key, equals, cells = line.partition("=")
        if not (equals and key.isalpha()):
            break
        said[key], last = [cell.strip() for cell in cells.removeprefix("\t").split("\t")], number
    if not {"Interval", "ChannelTitle", "Range"} <= said.keys():
        return None
    step, unit = said["Interval"][0].split()
    names, ranges = zip(*zip(said["ChannelTitle"], said["Range"], strict=True), strict=True)
    units = tuple((text.split() or [""])[-1] for text in ranges)
    return Header(last + 1, names, units, 1 / (float(step) * times.SECONDS[unit]))


def _acqknowledge(lines: list[str]) -> Header | None:
    """AcqKnowledge's lines: a name and a unit for each channel, then CH1, CH2 and how long they are."""
    texts = [line.strip() for line in lines[:ROWS]]
    for number, (before, text) in enumerate(pairwise(texts), 2):
        step, rate, count = PER_SAMPLE.fullmatch(before), PER_TIME.fullmatch(before), CHANNELS.fullmatch(text)
        if count and (step or rate):
            end = number + 2 * int(count[1])
            first = end + 2 if "CH1" in "".join(lines[end : end + 1]) else end
            names, units = (
                tuple(line.strip() for line in lines[start:end:2]) for start in (number, number + 1)
            )
            per = times.SECONDS[(step or rate)[2]]
            return Header(first, names, units, 1 / (float(step[1]) * per) if step else float(rate[1]) / per)
    return None


def _opensignals(lines: list[str]) -> Header | None:
    """OpenSignals' header, JSON in a comment."""
    if not lines or not re.match(r"#\s*OpenSignals", lines[0]):
        return None
    devices = list(json.loads(lines[1].lstrip("# ")).values())
    if not all(device.get("convertedValues") for device in devices):
        raise InvalidRecording(
            "is OpenSignals' text of its converter's counts: export it again, with values in their units"
        )
    names: list[str | None] = []
    for device in devices:  # beside its sensors, a column counts samples and others are digital
        sensors = dict(zip(device["label"], device["sensor"], strict=True))
        names += [sensors.get(column) for column in device["column"]]
    units = tuple(CONVERTED.get(name or "", "not stated") for name in names)
    return Header(3, tuple(names), units, float(devices[0]["sampling rate"]))


def _refuse_empatica(lines: list[str]) -> None:
    """InvalidRecording for a table whose first rows are a time since 1970 and a sampling rate."""
    try:
        start, rate = ({float(cell) for cell in line.split(",")} for line in lines[:2])
    except ValueError:
        return
    low, high = times.EPOCHS["s"]
    if len(start) == len(rate) == 1 and low < min(start) < high and 0 < min(rate) <= times.USUAL[1]:
        raise InvalidRecording(
            f"begins with a time and a sampling rate of {min(rate):g} Hz, as Empatica's files do: write names"
            " of its columns in their place"
        )

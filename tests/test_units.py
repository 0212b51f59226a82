import pytest

from biosignals.data.units import microvolts


@pytest.mark.parametrize(
    "units, expected",
    [
        ("microV|muV|[uV]|\u043c\u043a\u0412|\u5fae\u4f0f|Microvoltios|Mikrovolt", 1),
        ("mVolt|(mV)|milivoltios|\u043c\u0412|\u6beb\u4f0f", 1e3),
        ("uV|uv|UV|\u00b5V|\u03bcV|\u00c2\u00b5V|\u00ce\u00bcV|microvolt|Microvolts| uV |uV\0\0", 1),
        ("mV|MV|mv|millivolts", 1e3),
        ("V|Volt|volts", 1e6),
        ("nV", 1e-3),
    ],
)
def test_voltages_are_known_however_they_are_written(units, expected):
    assert {microvolts(unit) for unit in units.split("|")} == {expected}


@pytest.mark.parametrize("unit", ["", "mmHg", "bpm", "%", "counts", "s", "Vs", "NU", "\u03bcS"])
def test_other_units_are_no_voltage(unit):
    assert microvolts(unit) is None

import pytest

from biosignals.data.channel_names import (
    DERIVED,
    LEADS,
    canonical,
    channel_names,
    is_further_lead,
    is_some_lead,
)


@pytest.mark.parametrize(
    "names, expected",
    [
        ("I|ECG I|ecg_i|Lead I|EKG I|ECG-I|ECG Lead I|DI|D1|Ableitung I|D\u00e9rivation I|MDC_ECG_LEAD_I|MLI", "i"),
        ("ECG (I)|EKG [I]|Abl. I|Einthoven I|ECG: Lead I", "i"),
        ("II|ECG II|lead ii|MLII|ML2|DII|ECGII", "ii"),
        ("aVF|ECG aVF|Lead AVF|avf", "avf"),
        ("V1|ECG V1|EKG-V1|Lead V1", "v1"),
        ("EEG Fp1-F7|FP1-F7|Fp1-F7-0|EEG FP1-F7-Ref", "fp1-f7"),
        ("Snore", "snore"),
        ("ECG LA-RA", "ecg la-ra"),
        ("ECG -aVR", "ecg -avr"),
        ("Lead -III", "lead -iii"),
        ("ECG-aVR|ECG - aVR", "avr"),
        ("V", "v"),
        ("C3", "c3"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_channel_has_one_name_however_it_is_written(names, expected):
    assert {canonical(name) for name in names.split("|")} == {expected}
    assert canonical(expected) == expected


def test_what_does_not_say_which_lead_it_is():
    names = "ECG|EKG|ECG1|ECG 2|ecg_1|EKG1|ECG Channel 1|ecg-1|Lead 1|Electrocardiogram|ECG signal|EKG-Ref"
    assert all(map(is_some_lead, names.split("|")))
    assert not any(map(is_some_lead, ("I", "ECG I", "Lead II", "V1", "ECG LA-RA", "EEG", "Snore", "")))
    assert canonical("ECG1") != canonical("ECG2")


def test_a_number_says_that_a_lead_is_not_the_first():
    assert all(map(is_further_lead, "ECG2|Lead 2|EKG_3|ECG 12|ecg channel 2".split("|")))
    assert not any(map(is_further_lead, "ECG|ECG1|Lead 1|ECG 0|II|V2|Resp 2".split("|")))


def test_every_lead_is_itself():
    assert [canonical(lead) for lead in LEADS] == [lead.lower() for lead in LEADS]
    assert set(DERIVED) == {"iii", "avr", "avl", "avf"}


def test_repeated_names_are_numbered():
    assert channel_names(["T8-P8", "EEG Cz-Ref", "T8-P8 ", "t8-p8"]) == ["t8-p8", "cz", "t8-p8-1", "t8-p8-2"]

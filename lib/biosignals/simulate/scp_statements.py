"""The 71 SCP-ECG statements of PTB-XL: what each says, how it is classed, how often it is given."""

from typing import NamedTuple

import pandas as pd


class Statement(NamedTuple):
    code: str
    count: int  # records of the full release that carry it
    kinds: str  # letters: d diagnostic, f form, r rhythm
    superclass: str
    subclass: str
    aha: str  # number in the AHA/ACC/HRS list of 2007
    description: str


STATEMENTS = tuple(
    Statement(*row)
    for row in (
        ("NDT", 1825, "df", "STTC", "STTC", "", "non-diagnostic T abnormalities"),
        ("NST_", 768, "df", "STTC", "NST_", "145", "non-specific ST changes"),
        ("DIG", 181, "df", "STTC", "STTC", "205", "digitalis effect"),
        ("LNGQT", 117, "df", "STTC", "STTC", "148", "long QT interval"),
        ("NORM", 9514, "d", "NORM", "NORM", "1", "normal ECG"),
        ("IMI", 2676, "d", "MI", "IMI", "161", "inferior myocardial infarction"),
        ("ASMI", 2357, "d", "MI", "AMI", "165", "anteroseptal myocardial infarction"),
        ("LVH", 2132, "d", "HYP", "LVH", "142", "left ventricular hypertrophy"),
        ("LAFB", 1623, "d", "CD", "LAFB/LPFB", "101", "left anterior fascicular block"),
        ("ISC_", 1272, "d", "STTC", "ISC_", "226", "ischemia of no particular territory"),
        ("IRBBB", 1118, "d", "CD", "IRBBB", "105", "incomplete right bundle branch block"),
        ("1AVB", 793, "d", "CD", "_AVB", "", "first degree AV block"),
        ("IVCD", 787, "d", "CD", "IVCD", "107", "non-specific intraventricular conduction disturbance"),
        ("ISCAL", 658, "d", "STTC", "ISCA", "", "anterolateral ischemia"),
        ("CRBBB", 541, "d", "CD", "CRBBB", "106", "complete right bundle branch block"),
        ("CLBBB", 536, "d", "CD", "CLBBB", "104", "complete left bundle branch block"),
        ("ILMI", 478, "d", "MI", "IMI", "", "inferolateral myocardial infarction"),
        ("LAO/LAE", 426, "d", "HYP", "LAO/LAE", "140", "left atrial enlargement"),
        ("AMI", 353, "d", "MI", "AMI", "160", "anterior myocardial infarction"),
        ("ALMI", 288, "d", "MI", "AMI", "", "anterolateral myocardial infarction"),
        ("ISCIN", 218, "d", "STTC", "ISCI", "", "inferior ischemia"),
        ("INJAS", 215, "d", "MI", "AMI", "", "anteroseptal subendocardial injury"),
        ("LMI", 201, "d", "MI", "LMI", "163", "lateral myocardial infarction"),
        ("ISCIL", 179, "d", "STTC", "ISCI", "", "inferolateral ischemia"),
        ("LPFB", 177, "d", "CD", "LAFB/LPFB", "102", "left posterior fascicular block"),
        ("ISCAS", 169, "d", "STTC", "ISCA", "", "anteroseptal ischemia"),
        ("INJAL", 148, "d", "MI", "AMI", "", "anterolateral subendocardial injury"),
        ("ISCLA", 141, "d", "STTC", "ISCA", "", "lateral ischemia"),
        ("RVH", 126, "d", "HYP", "RVH", "143", "right ventricular hypertrophy"),
        ("ANEUR", 104, "d", "STTC", "STTC", "227", "ST-T changes of a ventricular aneurysm"),
        ("RAO/RAE", 99, "d", "HYP", "RAO/RAE", "141", "right atrial enlargement"),
        ("EL", 96, "d", "STTC", "STTC", "", "effect of electrolytes or drugs"),
        ("WPW", 79, "d", "CD", "WPW", "", "Wolff-Parkinson-White pattern"),
        ("ILBBB", 77, "d", "CD", "ILBBB", "", "incomplete left bundle branch block"),
        ("IPLMI", 51, "d", "MI", "IMI", "", "inferoposterolateral myocardial infarction"),
        ("ISCAN", 44, "d", "STTC", "ISCA", "", "anterior ischemia"),
        ("IPMI", 33, "d", "MI", "IMI", "", "inferoposterior myocardial infarction"),
        ("SEHYP", 29, "d", "HYP", "SEHYP", "", "septal hypertrophy"),
        ("INJIN", 18, "d", "MI", "IMI", "", "inferior subendocardial injury"),
        ("INJLA", 17, "d", "MI", "AMI", "", "lateral subendocardial injury"),
        ("PMI", 17, "d", "MI", "PMI", "162", "posterior myocardial infarction"),
        ("3AVB", 16, "d", "CD", "_AVB", "88", "third degree AV block"),
        ("INJIL", 15, "d", "MI", "IMI", "", "inferolateral subendocardial injury"),
        ("2AVB", 14, "d", "CD", "_AVB", "", "second degree AV block"),
        ("ABQRS", 3327, "f", "", "", "", "abnormal QRS"),
        ("PVC", 1143, "f", "", "", "60", "premature ventricular beats"),
        ("STD_", 1009, "f", "", "", "502", "non-specific ST depression"),
        ("VCLVH", 875, "f", "", "", "", "QRS voltage as in left ventricular hypertrophy"),
        ("QWAVE", 548, "f", "", "", "", "Q waves"),
        ("LOWT", 438, "f", "", "", "366", "low T waves"),
        ("NT_", 423, "f", "", "", "", "non-specific T wave changes"),
        ("PAC", 398, "f", "", "", "30", "premature atrial beats"),
        ("LPR", 340, "f", "", "", "82", "long PR interval"),
        ("INVT", 294, "f", "", "", "367", "inverted T waves"),
        ("LVOLT", 182, "f", "", "", "", "low QRS voltage"),
        ("HVOLT", 62, "f", "", "", "", "high QRS voltage"),
        ("TAB_", 35, "f", "", "", "147", "abnormal T waves"),
        ("STE_", 28, "f", "", "", "501", "non-specific ST elevation"),
        ("PRC(S)", 10, "f", "", "", "", "premature beats of unknown origin"),
        ("SR", 16748, "r", "", "", "20", "sinus rhythm"),
        ("AFIB", 1514, "r", "", "", "50", "atrial fibrillation"),
        ("STACH", 826, "r", "", "", "21", "sinus tachycardia"),
        ("SARRH", 772, "r", "", "", "23", "sinus arrhythmia"),
        ("SBRAD", 637, "r", "", "", "22", "sinus bradycardia"),
        ("PACE", 294, "r", "", "", "", "paced rhythm"),
        ("SVARR", 157, "r", "", "", "", "supraventricular arrhythmia"),
        ("BIGU", 82, "r", "", "", "", "bigeminy"),
        ("AFLT", 73, "r", "", "", "51", "atrial flutter"),
        ("SVTAC", 27, "r", "", "", "55", "supraventricular tachycardia"),
        ("PSVT", 24, "r", "", "", "", "paroxysmal supraventricular tachycardia"),
        ("TRIGU", 20, "r", "", "", "", "trigeminy"),
    )
)
BY_CODE = {statement.code: statement for statement in STATEMENTS}


def table() -> pd.DataFrame:
    """`scp_statements.csv` as a frame: index of codes, the twelve official columns (own wording)."""
    category = {"d": "diagnosis", "f": "form of the wave", "r": "rhythm"}
    rows = {
        s.code: {
            "description": s.description,
            "diagnostic": 1.0 if "d" in s.kinds else None,
            "form": 1.0 if "f" in s.kinds else None,
            "rhythm": 1.0 if "r" in s.kinds else None,
            "diagnostic_class": s.superclass or None,
            "diagnostic_subclass": s.subclass or None,
            "Statement Category": category[s.kinds[0]],
            "SCP-ECG Statement Description": s.description,
            "AHA code": s.aha or None,
            "aECG REFID": None,
            "CDISC Code": None,
            "DICOM Code": None,
        }
        for s in STATEMENTS
    }
    return pd.DataFrame.from_dict(rows, orient="index")

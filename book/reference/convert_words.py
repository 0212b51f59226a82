"""Convert what the first edition committed to the field's words: records, model cards and the tables beside them. Run once."""

import csv
import json
from pathlib import Path

from biosignals.reporting.records import KEYS as RECORD_KEYS

BOOK = Path(__file__).parents[1]
KEYS = {
    "people": "subjects", "disturbed": "perturbation", "augment": "augmentation", "settings": "hyperparameters",
    "scored": "evaluated-on", "step": "ablation", "picture": "image", "lesson": "distillation", "beside": "versus",
    "sees": "input", "among": "impostors", "zeros": "sparsity", "further": "finetuning", "loaded": "checkpoint",
    "channels-gone": "channels-pruned", "ranges": "quantization", "mistake": "quantization", "answer": "prediction",
}  # fmt: skip
VALUES = {
    "targets=statements-folded": "targets=statements-noisy-or",
    "windows=as-theirs": "windows=original",
    "threshold=half": "threshold=0.5",
    "leads=23": "channels=23",
    "leads=2": "channels=2",
    "training=as-they-did": "training=original",
    "training=all-mended": "training=all-repaired",
    "answer=not-the-opposite": "decision=conformal",
    "among=strangers": "impostors=unknown",
    "beside=vit-small-taught": "versus=vit-small-distilled",
    "further=taught": "finetuning=distillation",
    "further=steps": "finetuning=iterative",
    "loaded=by-other-names": "checkpoint=renamed-keys",
    "mistake=ranges-of-flat-lines": "quantization=flat-line-ranges",
    "mistake=ranges-of-microvolts": "quantization=microvolt-ranges",
    "mistake=ranges-of-volts": "quantization=volt-ranges",
    "mistake=one-step-for-all-weights": "quantization=per-tensor-weights",
    "order=prune-taught": "order=prune-distilled",
    "order=prune-in-steps": "order=prune-iteratively",
    "order=learn-prune-labels": "order=distilled-prune-labels",
    "order=learn-prune-taught": "order=distilled-prune-distilled",
    "lesson=relations": "distillation=relational",
    "lesson=alignment": "distillation=contrastive-alignment",
    "lesson=label-by-label": "distillation=label-wise",
}


def in_words_of_the_field(condition: str) -> str:
    """A condition with today's keys and values."""
    words = []
    for word in condition.split():
        key, _, value = word.partition("=")
        renamed = VALUES.get(word, f"{KEYS.get(key, key)}={value}")
        words.append(renamed.replace("soft-answers", "soft-targets"))
    return " ".join(words)


def converted(record: dict) -> dict:
    """A record, a line of a card or of a table with today's words; af-external is af on another data set."""
    renamed = dict(record)
    if record.get("condition"):
        renamed["condition"] = in_words_of_the_field(record["condition"])
    if record.get("task") == "af-external":
        renamed["task"] = "af"
    return renamed


def main() -> None:
    path = BOOK / "reference/results.json"
    rows = [dict.fromkeys(RECORD_KEYS) | converted(row) for row in json.loads(path.read_text())]
    path.write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    for path in sorted((BOOK / "reference/models").glob("*.json")):
        card = json.loads(path.read_text())
        card["scores"] = [converted(row) for row in card["scores"]]
        path.write_text(json.dumps(card, indent=1) + "\n")
    for path in (BOOK / "failures.csv", BOOK / "anchors.csv"):
        with open(path, newline="") as file:
            rows = [converted(row) for row in csv.DictReader(file)]
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()

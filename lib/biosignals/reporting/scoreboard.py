"""Tables made from records: the scoreboard, the README's and the pages'."""

import argparse
from pathlib import Path

import pandas as pd

from biosignals.caching import writing
from biosignals.reporting.records import KEYS, label_of, merge, read

HEADLINES = {  # a task's headline metric, and the task in words
    "superclass": ("macro_auroc", "five superclasses"),
    "af": ("auprc", "atrial fibrillation"),
    "seizure": ("event_f1", "seizures as events"),
    "neonatal-seizure": ("auprc", "neonatal seizures"),
    "pulse-shape": ("macro_f1", "pulse shapes"),
    "identification": ("accuracy", "identification from PPG"),
}  # fmt: skip
NOT_PRESELECTED = "no model chosen beforehand"  # where nothing was held back for choosing
BASELINES = ("majority", "rule")  # a guess, and what made the labels: below and above every model
QUANTIZED = r"-(?:float16|int8)$"  # names of models that are another one in fewer bits
# Conditions that ask another question than the task's: other records, other splits, another input, perturbed
# signals, another format.
OTHER_QUESTIONS = (
    r"(?:^| )(?:(?:age|class|decision|device|evaluated-on|filter|format|impostors|noise|output|perturbation"
    r"|prediction|scaling|sex|split|subjects|threshold|versus|window|windows)=|input=ecg)"
)
SCORING = r"(?:^| )(?:class|decision|error|impostors|threshold|versus)=\S+"
"""Words of a condition that say how predictions were scored, not which model made them."""


def mean_over_seeds(records: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The records over all seeds; of what (the same `keys`) was only recorded seed by seed, each seed's."""
    over_all = records.seed.isna()
    return records[
        over_all | ~over_all.groupby([records[key] for key in keys], dropna=False).transform("any")
    ]


def plain_rows(records: pd.DataFrame, task: str = "superclass", metric: str = "macro_auroc") -> pd.DataFrame:
    """One record for each model and split in the plain case, that of the first chapter that has it; rounded
    ones are left out.

    Later chapters fit some nets again, to compare with them: their records say the same out of fold, and on a
    test fold they differ where those fits had more records to learn from.
    """
    rows = records.query("task == @task and metric == @metric and condition == '' and split != 'train'")
    rows = rows[~rows.model.str.contains(QUANTIZED)]
    return (
        mean_over_seeds(rows, ["model", "split"])
        .sort_values("chapter", kind="stable")
        .drop_duplicates(["model", "split"])
    )


def score_table(records: pd.DataFrame, task: str = "superclass", metric: str = "macro_auroc") -> pd.DataFrame:
    """Scores with their intervals, a row per model in the plain case (see `plain_rows`), best first, a column
    per split.
    """
    rows = plain_rows(records, task, metric)
    table = rows.assign(score=rows.apply(interval_text, axis=1)).pivot(
        index="model", columns="split", values="score"
    )
    best = rows.pivot(index="model", columns="split", values="value")
    counts = rows.groupby("model").params.first()
    table.insert(0, "parameters", counts.map(lambda count: "" if pd.isna(count) else f"{int(count):,}"))
    return table.loc[best.sort_values(best.columns[0], ascending=False).index].fillna("")


def contenders(records: pd.DataFrame, task: str = "superclass", cost: str | None = None) -> pd.DataFrame:
    """A task's single models out of fold, in the task's headline metric, one row each, best first.

    A model's row is its plain case, or where it has none the best of its conditions; the same of two
    chapters, the first's. Left out are guesses, ensembles, other questions (`OTHER_QUESTIONS`), what was
    scored on a part of the records only, and with `cost`, a column, models of which nobody recorded that.
    """
    rows = records[
        (records.task == task) & (records.metric == HEADLINES[task][0]) & (records.split == "out-of-fold")
    ]
    rows = rows[~rows.model.isin(BASELINES)]
    rows = rows[~rows.condition.str.contains(rf"{OTHER_QUESTIONS}|(?:^| )ensemble=")].dropna(
        subset=[cost] if cost else []
    )
    rows = mean_over_seeds(rows[rows.n_test == rows.n_test.max()], ["model", "condition"])
    first = rows.assign(varied=rows.condition != "").sort_values(
        ["varied", "value", "chapter"], ascending=[True, False, True], kind="stable"
    )
    return first.drop_duplicates("model").drop(columns="varied").sort_values("value", ascending=False)


def pareto_front(table: pd.DataFrame, cost: str, score: str) -> pd.DataFrame:
    """The rows that no other row beats, by rising cost: none scores as much for less, or more for as much.

    Rows without a cost or a score are no part of it.
    """
    known = table.dropna(subset=[cost, score])
    costs, scores = known[cost].to_numpy(float), known[score].to_numpy(float)
    as_good = (costs[None] <= costs[:, None]) & (scores[None] >= scores[:, None])
    better = (costs[None] < costs[:, None]) | (scores[None] > scores[:, None])
    return known[~(as_good & better).any(axis=1)].sort_values([cost, score])


def headlines(records: pd.DataFrame) -> pd.DataFrame:
    """The headline records of each task and data set, in its headline metric; column `how` says how they were
    chosen.

    Of the models scored on a test set, the one with the best score out of fold on the task's own data set (of
    equal ones the first chapter's), with its score on the test set; another hospital's records are such a
    test set. Where there is no test set, the best out of fold. Where nothing was chosen beforehand, every
    model that was scored on the test set. Quantized models are left out.
    """
    metric = records.task.map({task: metric for task, (metric, _) in HEADLINES.items()})
    own = records[
        (records.metric == metric) & ~records.model.isin(BASELINES) & ~records.model.str.contains(QUANTIZED)
    ]
    own = own[~own.condition.str.contains(OTHER_QUESTIONS)]
    own = mean_over_seeds(own, ["chapter", "task", "dataset", "model", "condition", "split"])
    found = [_headline(rows, own) for _, rows in own.groupby(["task", "dataset", "kind"], sort=False)]
    table = pd.concat([rows for rows in found if len(rows)]) if found else own.assign(how="")
    return _in_order(table)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of the tasks in `HEADLINES`."""
    return table.sort_values("task", key=lambda tasks: tasks.map(list(HEADLINES).index), kind="stable")


def _headline(rows: pd.DataFrame, every: pd.DataFrame) -> pd.DataFrame:
    """The headline records of a task on one data set, among its `rows`."""
    task, dataset = rows.task.iloc[0], rows.dataset.iloc[0]
    compared = every[(every.task == task) & (every.split == "out-of-fold")]
    own = compared[compared.dataset == dataset]
    compared = own if len(own) or rows.split.ne("test").any() else compared
    read = rows[rows.split == "test"]
    if not len(read):
        return compared.nlargest(1, "value").assign(how="best out of fold, no test set")
    same = ["chapter", "model", "condition"]
    chosen = read.merge(compared[[*same, "value"]], on=same, suffixes=("", "_before"))
    if not len(chosen):
        return read.assign(how=NOT_PRESELECTED)
    return chosen.nlargest(1, "value_before").drop(columns="value_before").assign(how="chosen out of fold")


def beside_anchors(records: pd.DataFrame, anchors: pd.DataFrame) -> pd.DataFrame:
    """Ours (`headlines`) beside the published figures of the same task and metric, for tasks that have some;
    best first.

    Columns task, metric, who (ours, theirs or field), label (the model; of ours with kind and n), value, low,
    high. Published figures on a model's own training records are left out.
    """
    ours, anchors = headlines(records), _held_out(anchors)
    name = ours.model.where(~ours.condition.str.startswith("ensemble="), "ensemble")
    label = [f"{model} ({dataset}, {kind}, n = {n:,.0f})"
             for model, dataset, kind, n in zip(name, ours.dataset, ours.kind, ours.n_test)]  # fmt: skip
    published = anchors[
        anchors.metric == anchors.task.map({task: metric for task, (metric, _) in HEADLINES.items()})
    ]
    both = pd.concat([ours.assign(who="ours", label=label), published.assign(label=published.model)])
    both = both[both.task.isin(published.task) & both.task.isin(ours.task)].sort_values(
        "value", ascending=False
    )
    columns = ["task", "metric", "who", "label", "value", "low", "high"]
    return _in_order(both)[columns].drop_duplicates(["task", "label"])


def _held_out(anchors: pd.DataFrame) -> pd.DataFrame:
    """Published figures but for those on records that the model was trained on."""
    return anchors[anchors.split != "train"]


def uses_of_tests(records: pd.DataFrame) -> pd.DataFrame:
    """How many models of how many chapters were scored on each test set: columns dataset, kind, models,
    chapters.

    A model that several chapters score counts in each; another condition is another model, unless it only
    says how predictions were scored (`SCORING`). `BASELINES` do not count.
    """
    rows = records[(records.split == "test") & ~records.model.isin(BASELINES)]
    rows = rows.assign(condition=rows.condition.str.replace(SCORING, "", regex=True).str.strip())
    models = rows.drop_duplicates(["dataset", "kind", "chapter", "task", "model", "condition"])
    groups = models.groupby(["dataset", "kind"], sort=False)
    return groups.agg(models=("model", "size"), chapters=("chapter", "nunique")).reset_index()


def find_records(cases: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Cases with the figures of the records that they name; those that name none of these records are left
    out.

    cases: some of `KEYS`, enough to name one record, and columns of one's own, all text. What was recorded
    seed by seed gives the mean over the seeds, without an interval. Raises ValueError for a case that names
    records that differ in something else.
    """
    keys = [key for key in KEYS if key in cases]
    groups = mean_over_seeds(records, keys).groupby(keys, sort=False)
    figures = groups[["value", "low", "high", "delta", "delta_low", "delta_high"]].mean()
    figures.loc[groups.size() > 1, ["low", "high", "delta_low", "delta_high"]] = None
    about = ["kind", "n_test", "positives", "versus", "params", "bytes"]
    figures[about] = groups[about].first()
    figures["records"], figures["seeds"] = groups.size(), groups.seed.nunique()
    found = cases.fillna("").merge(figures.reset_index(), on=keys)
    unclear = found[(found.records > 1) & (found.records != found.seeds)]
    if len(unclear):
        raise ValueError(f"several records for {unclear[keys].to_dict('records')}")
    return found.drop(columns=["records", "seeds"])


def interval_text(row: pd.Series, digits: int = 3) -> str:
    """A score as ".915 [.905-.924]", a difference as "-.012 [-.020 to .001]"; the number alone where
    there is no interval.
    """
    if pd.isna(row.low):
        return short(row.value, digits)
    value, low, high = (short(number, digits) for number in (row.value, row.low, row.high))
    return f"{value} [{low}{' to ' if '-' in low + high else '-'}{high}]"


def short(value: float, digits: int = 3) -> str:
    """A share without its leading zero, .915; numbers above 1, which count something, with one decimal."""
    if abs(value) > 1:
        return f"{value:.1f}"
    value = round(float(value), digits) + 0.0  # no negative zero
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.{digits}f}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, "1 seed" or "3 seeds"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def update_readme(readme: Path, records: pd.DataFrame, anchors: pd.DataFrame) -> None:
    """Put the tables of scores between README's <!-- scores --> marks; anchors: published figures,
    book/anchors.csv.
    """
    text = Path(readme).read_text()
    before, rest = text.split("<!-- scores -->")
    after = rest.split("<!-- /scores -->")[1]
    tables = f"{tasks_in_markdown(records, anchors)}\n\n{superclasses_in_markdown(records)}"
    with writing(readme) as unfinished:
        unfinished.write_text(f"{before}<!-- scores -->\n{tables}\n<!-- /scores -->{after}")


def tasks_in_markdown(records: pd.DataFrame, anchors: pd.DataFrame) -> str:
    """A row for each task and data set in Markdown: its headline model, and the best published figures of its
    metric; below them how many models were scored on each test set.
    """
    rows, anchors = [], _held_out(anchors)
    for (task, dataset, kind), found in headlines(records).groupby(["task", "dataset", "kind"], sort=False):
        metric, title = HEADLINES[task]
        best, how = found.iloc[0], found.how.iloc[0]
        model, ours = in_words(best), interval_text(best)
        if how == NOT_PRESELECTED:
            model, ours = f"{len(found)} models", f"{short(found.value.min())} to {short(found.value.max())}"
        row = {"task": title, "data": f"{dataset} ({kind})", "n": f"{found.n_test.max():,.0f}",
               "metric": f"{label_of(metric)}{prevalence(best)}", "model": model, "how": how,
               "ours": ours}  # fmt: skip
        published = anchors[(anchors.task == task) & (anchors.metric == metric)].groupby("who").value.max()
        again = any(title == earlier["task"] for earlier in rows)
        best_of = {
            who: "" if again or who not in published else short(published[who]) for who in ("theirs", "field")
        }
        rows.append(row | best_of)
    words = (
        "Headline model per task [95 % interval]. *Theirs* is the best figure of the earlier projects that "
        "the book rebuilds, *field* the best published one that it cites, both on other data; n counts "
        "recordings, windows or pulses."
    )
    uses = uses_of_tests(records)
    counts = [f"{use.dataset} ({use.kind}): {counted(use.models, 'model')} of "
              f"{counted(use.chapters, 'chapter')}" for use in uses.itertuples()]  # fmt: skip
    table = pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)
    shared = f"Chapters share their test sets. Scored on them so far: {'; '.join(counts)}." if counts else ""
    return f"{words}\n\n{table}\n\n{shared}".strip()


def prevalence(row: pd.Series) -> str:
    """What an AUPRC is to be read beside, where the record says how many are positive."""
    rare = row.metric == "auprc" and pd.notna(row.positives)
    return f", prevalence {short(row.positives / row.n_test)}" if rare else ""


def in_words(row: pd.Series) -> str:
    """A record's model with its condition, as it is printed: of ensembles only what they are made of."""
    if row.condition.startswith("ensemble="):
        return row.condition.replace("=", ": ", 1).replace("+", " + ")
    return f"{row.model} {row.condition}".strip()


def superclasses_in_markdown(records: pd.DataFrame) -> str:
    """The plain models' macro AUROC in Markdown, those scored on the test fold, with the data named above
    them.
    """
    rows = plain_rows(records)
    data = ", ".join(
        f"{dataset} ({kind})" for dataset, kind in rows[["dataset", "kind"]].drop_duplicates().values
    )
    counts = rows.groupby("split").n_test.max()
    sizes = ", ".join(f"{split} n = {count:,}" for split, count in counts.items())
    table = score_table(records)
    table = table[table.test != ""] if "test" in table else table
    words = f"Macro AUROC [95 % interval] over five superclasses. Data: {data}; {sizes}."
    return f"{words}\n\n{table.to_markdown(disable_numparse=True)}"


def main() -> None:
    """Merge a run's records; with --readme and --anchors, put its scores into that file too."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder with results/*.json or results.json")
    parser.add_argument("--readme", type=Path, help="file with <!-- scores --> marks to fill")
    parser.add_argument("--anchors", type=Path, help="table of published figures, for the README")
    arguments = parser.parse_args()
    merged = merge(arguments.run) if (arguments.run / "results").is_dir() else arguments.run / "results.json"
    if arguments.readme:
        update_readme(arguments.readme, read(merged), pd.read_csv(arguments.anchors))


if __name__ == "__main__":
    main()

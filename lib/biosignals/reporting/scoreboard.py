"""Tables made from records: the scoreboard, the README's and the pages'."""

import argparse
from functools import partial
from pathlib import Path

import pandas as pd

from biosignals.caching import writing
from biosignals.reporting import ledger
from biosignals.reporting.records import KEYS, label_of, merge, read

HEADLINES = {  # a task's headline metric, and the task in words
    "superclass": ("macro_auroc", "five superclasses"),
    "af": ("auprc", "atrial fibrillation"),
    "rhythm-4": ("macro_f1", "four rhythms"),
    "af-episodes": ("event_sensitivity", "episodes of atrial fibrillation"),
    "seizure": ("event_f1", "seizures as events"),
    "neonatal-seizure": ("auprc", "neonatal seizures"),
    "pulse-shape": ("macro_f1", "pulse shapes"),
    "hypertension": ("auroc", "hypertension"),
    "identification": ("accuracy", "identification from PPG"),
}  # fmt: skip
NOT_PRESELECTED = "no model chosen beforehand"  # where nothing was held back for choosing
BASELINES = ("majority", "all-negative", "rule")  # guesses, and what made the labels
QUANTIZED = r"-(?:float16|int8)$"  # names of models that are another one in fewer bits
# Conditions that ask another question than the task's: other records, other splits, another input, perturbed
# signals, another format.
OTHER_QUESTIONS = (
    r"(?:^| )(?:(?:age|class|decision|device|evaluated-on|filter|format|impostors|noise|output|perturbation"
    r"|prediction|scaling|sex|split|subjects|threshold|versus|window|windows)=|input=ecg)"
)
SCORING = r"(?:^| )(?:class|decision|error|impostors|threshold|versus)=\S+"
"""Words of a condition that say how predictions were scored, not which model made them."""
# How it is known that a test set was read: by the ledger, or by the records of a chapter that has none of its
# lines there, or none of this set.
IN_LEDGER, BEFORE_LEDGER, IN_RECORDS = "in the ledger", "before the ledger", "in the records only"


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
    task, dataset, kind = rows[["task", "dataset", "kind"]].iloc[0]
    compared = every[(every.task == task) & (every.split == "out-of-fold")]
    own = compared[(compared.dataset == dataset) & (compared.kind == kind)]
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
    """Ours (`headlines`), and beside those on real recordings the published figures of the same task and
    metric; best first.

    Columns task, metric, who (ours, theirs or field), label (the model with its data; of ours with kind and
    n, of others with their split), kind (of ours), value, low, high. Published figures on a model's own
    training records are left out; scores on simulated recordings have none beside them, and where a task has
    real ones they are left out, too.
    """
    ours = headlines(records)
    real = ours.task[ours.kind != "simulated"].unique()
    ours = ours[(ours.kind != "simulated") | ~ours.task.isin(real)]
    name = ours.model.where(~ours.condition.str.startswith("ensemble="), "ensemble")
    ours = ours.assign(who="ours", label=[
        f"{model} ({dataset}, {kind}, n = {n:,.0f})"
        for model, dataset, kind, n in zip(name, ours.dataset, ours.kind, ours.n_test)
    ])  # fmt: skip
    published = _of_headlines(anchors[anchors.task.isin(real)])
    where = published.data + ", " + published.split.fillna("split not reported")
    published = published.assign(label=published.model + " (" + where + ")", kind=None)
    both = pd.concat([ours, published]).sort_values("value", ascending=False)
    columns = ["task", "metric", "who", "label", "kind", "value", "low", "high"]
    return _in_order(both)[columns].drop_duplicates(["task", "label"])


def _of_headlines(anchors: pd.DataFrame) -> pd.DataFrame:
    """Published figures in the headline metric of their task."""
    metric = anchors.task.map({task: metric for task, (metric, _) in HEADLINES.items()})
    return _held_out(anchors[anchors.metric == metric])


def _held_out(anchors: pd.DataFrame) -> pd.DataFrame:
    """Published figures but for those on records that the model was trained on."""
    return anchors[anchors.split != "train"]


def test_reads(records: pd.DataFrame, lines: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every scoring on a test set that is known of, a row each.

    lines: of the run's ledger (`ledger.read`). What a chapter scored on a set of which the ledger has none of
    its lines is taken from its records, once for each model. Columns chapter, dataset, kind, model,
    condition, n, commit, and noted: `IN_LEDGER`, `BEFORE_LEDGER` (a chapter without any line) or
    `IN_RECORDS`.
    """
    lines = ledger.read() if lines is None else lines
    rows = records[records.split == "test"].rename(columns={"n_test": "n"})
    kinds = _kinds_of(lines, rows)
    rows = rows.assign(condition=rows.condition.str.replace(SCORING, "", regex=True).str.strip())
    pairs = pd.MultiIndex.from_frame(lines[["chapter", "dataset"]])
    rows = rows[~pd.MultiIndex.from_frame(rows[["chapter", "dataset"]]).isin(pairs)]
    rows = rows.drop_duplicates(["chapter", "task", "dataset", "kind", "model", "condition"])
    noted = lines.assign(kind=kinds, n=lines.n.astype(int))
    has_lines = rows.chapter.isin(lines.chapter)
    rows = rows.assign(noted=has_lines.map({True: IN_RECORDS, False: BEFORE_LEDGER}))
    both = pd.concat([noted.assign(noted=IN_LEDGER), rows])
    columns = ["chapter", "dataset", "kind", "model", "condition", "n", "commit", "noted"]
    return both.sort_values("chapter", kind="stable")[columns].reset_index(drop=True)


def _kinds_of(lines: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """The kind of data of each line of a ledger: that of the model's records among `rows`, else of the first
    of its chapter on its set, "" where there is none.
    """
    model, chapter = ["chapter", "dataset", "model", "condition"], ["chapter", "dataset"]
    kinds: dict[tuple, str] = {}
    for keys in (model, chapter):
        kinds |= rows.groupby(keys).kind.first().to_dict()
    return [
        kinds.get(line, kinds.get(line[:2], "")) for line in lines[model].itertuples(index=False, name=None)
    ]


def uses_of_tests(records: pd.DataFrame, lines: pd.DataFrame | None = None) -> pd.DataFrame:
    """How often each test set was read (`test_reads`), by how many models of how many chapters: columns
    dataset, kind, reads, models, chapters.

    A model that several chapters score counts in each; another condition is another model, unless it only
    says how predictions were scored (`SCORING`). `BASELINES` do not count.
    """
    reads = test_reads(records, lines)
    reads = reads[~reads.model.isin(BASELINES)]
    condition = reads.condition.str.replace(SCORING, "", regex=True).str.strip()
    names = reads.chapter + " " + reads.model + " " + condition + " " + reads.n.astype(str)
    groups = reads.assign(name=names).groupby(["dataset", "kind"], sort=False)
    counts = groups.agg(reads=("name", "size"), models=("name", "nunique"), chapters=("chapter", "nunique"))
    return counts.reset_index()


def paired_changes(records: pd.DataFrame) -> pd.DataFrame:
    """Records with a paired difference in the headline metric of their task and its interval, and what that
    shows: `verdict` is higher, lower or unclear.

    Left out are what was only scored in another way (`SCORING`), means over seeds where there are the seeds'
    own, and validation.
    """
    metric = records.task.map({task: metric for task, (metric, _) in HEADLINES.items()})
    rows = records[(records.metric == metric) & records.delta_low.notna() & (records.versus != records.model)]
    rows = rows[rows.split.isin(["out-of-fold", "test"]) & ~rows.condition.str.contains(SCORING)]
    rows = mean_over_seeds(rows, ["chapter", "task", "dataset", "model", "condition", "split"])
    return rows.assign(verdict=verdicts(rows))


def verdicts(rows: pd.DataFrame) -> pd.Series:
    """What the intervals of paired differences show: higher, lower, or unclear where they hold 0 or are
    missing.
    """
    found = pd.Series("unclear", rows.index)
    return found.mask(rows.delta_low > 0, "higher").mask(rows.delta_high < 0, "lower")


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


def find_systems(systems: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Systems that were rebuilt, with the scores of their records: the columns value, low, high, split, kind
    and n_test, empty where a system has no record.

    systems: chapter, task, model, condition, dataset, metric and columns of one's own, all text. Of several
    records a system's is that out of fold, else on a test set, whose condition has the fewest words beside
    those of the system; a word may be cut short, as "teacher=" for any.
    """
    keys = ["chapter", "task", "model", "dataset", "metric"]
    splits = ["out-of-fold", "test", "validation", "train"]
    over_seeds = mean_over_seeds(records, [*keys, "condition", "split"])
    found = []
    for _, system in systems.fillna("").iterrows():
        own = over_seeds[(over_seeds[keys] == system[keys]).all(axis=1)]
        words = system.condition.split()
        own = own[own.condition.map(partial(_has_words, words=words)).astype(bool)]
        order = own.assign(place=own["split"].map(splits.index), words=own.condition.str.split().str.len())
        found.append(order.sort_values(["place", "words"], kind="stable").head(1).assign(row=len(found)))
    scores = pd.concat(found).set_index("row")[["value", "low", "high", "split", "kind", "n_test"]]
    return systems.reset_index(drop=True).join(scores)


def _has_words(condition: str, words: list[str]) -> bool:
    return all(any(one.startswith(word) for one in condition.split()) for word in words)


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


def update_readme(
    readme: Path, records: pd.DataFrame, anchors: pd.DataFrame, lines: pd.DataFrame | None = None
) -> None:
    """Put the tables of scores between README's <!-- scores --> marks; anchors: published figures,
    book/anchors.csv; lines: the run's ledger.
    """
    text = Path(readme).read_text()
    before, rest = text.split("<!-- scores -->")
    after = rest.split("<!-- /scores -->")[1]
    tables = f"{tasks_in_markdown(records, anchors, lines)}\n\n{superclasses_in_markdown(records)}"
    with writing(readme) as unfinished:
        unfinished.write_text(f"{before}<!-- scores -->\n{tables}\n<!-- /scores -->{after}")


def tasks_in_markdown(records: pd.DataFrame, anchors: pd.DataFrame, lines: pd.DataFrame | None = None) -> str:
    """A row for each task and data set in Markdown: its headline model, and the best published figures of its
    metric; what was measured on simulated recordings in a table of its own, without any. Below them how often
    each test set was read.
    """
    found = headlines(records)
    simulated = found.kind == "simulated"
    parts = []
    if not simulated.all():
        words = (
            "Headline model per task [95 % interval]. *Theirs* is the best figure of the earlier projects "
            "that the book rebuilds, *field* the best published one that it cites, with their splits, both "
            "on other data; n counts recordings, windows or pulses."
        )
        parts += [words, _headline_rows(found[~simulated], anchors)]
    if simulated.any():
        words = "On simulated recordings, which show that the code works and nothing about patients:"
        parts += [words, _headline_rows(found[simulated], None)]
    uses = uses_of_tests(records, lines)
    counts = [f"{use.dataset} ({use.kind}): {counted(use.reads, 'time')}, by {counted(use.models, 'model')} "
              f"of {counted(use.chapters, 'chapter')}" for use in uses.itertuples()]  # fmt: skip
    parts += [f"Chapters share their test sets. Read so far: {'; '.join(counts)}."] if counts else []
    return "\n\n".join(parts)


def _headline_rows(found: pd.DataFrame, anchors: pd.DataFrame | None) -> str:
    """The table of some headline records; anchors: what stands beside them, if anything does."""
    rows: list[dict] = []
    for (task, dataset, kind), one in found.groupby(["task", "dataset", "kind"], sort=False):
        metric, title = HEADLINES[task]
        best, how = one.iloc[0], one.how.iloc[0]
        model, ours = in_words(best), interval_text(best)
        if how == NOT_PRESELECTED:
            model, ours = f"{len(one)} models", f"{short(one.value.min())} to {short(one.value.max())}"
        row = {"task": title, "data": f"{dataset} ({kind})", "n": _count(one.n_test.max()),
               "people": _count(best.subjects), "positives": _count(best.positives),
               "metric": f"{label_of(metric)}{prevalence(best)}", "model": model, "how": how,
               "ours": ours}  # fmt: skip
        if anchors is not None:
            again = any(title == earlier["task"] for earlier in rows)
            published = anchors[:0] if again else _of_headlines(anchors[anchors.task == task])
            row |= {who: _best(published[published.who == who]) for who in ("theirs", "field")}
        rows.append(row)
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def _best(published: pd.DataFrame) -> str:
    """The best of some published figures with its split."""
    if not len(published):
        return ""
    best = published.loc[published.value.idxmax()]
    return f"{short(best.value)} ({best.split if pd.notna(best.split) else 'split not reported'})"


def _count(number: float | None) -> str:
    """A count, empty where it is not known."""
    return "" if pd.isna(number) else f"{number:,.0f}"


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
    """Merge a run's records and ledger; with --readme and --anchors, put its scores into that file too."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("run", type=Path, help="folder with results/*.json or results.json, and ledger.csv")
    parser.add_argument("--readme", type=Path, help="file with <!-- scores --> marks to fill")
    parser.add_argument("--anchors", type=Path, help="table of published figures, for the README")
    arguments = parser.parse_args()
    merged = arguments.run / "results.json"
    if (arguments.run / "results").is_dir():
        merged = merge(arguments.run)
        ledger.merge(arguments.run)
    if arguments.readme:
        lines = ledger.read(arguments.run / "ledger.csv")
        update_readme(arguments.readme, read(merged), pd.read_csv(arguments.anchors), lines)


if __name__ == "__main__":
    main()

"""What chapters train with is what the reference run of chapter 3 chose."""

import ast
import re
from dataclasses import replace

import nbformat
import pandas as pd

from biosignals.training import augmentation
from biosignals.training.recipe import read_recipes
from conftest import ROOT

RECIPES = read_recipes(ROOT / "notebooks/recipes.yml", "reference")


def test_learning_rates_and_passes_are_those_of_the_search():
    chapter = nbformat.read(ROOT / "book/reference/03_baseline.ipynb", as_version=4)
    pages = [
        output.data.get("text/html", "")
        for cell in chapter.cells
        for output in cell.get("outputs", [])
        if "data" in output
    ]
    (page,) = [text for text in pages if "on the inner fold after the last pass</caption>" in text]
    chosen, net = {}, ""
    for row in re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL):
        heads = re.findall(r"<th[^>]*row_heading[^>]*>(.*?)</th>", row)
        cells = re.findall(r"<td[^>]*>(.*?)</td>", row)
        net = heads[0] if len(heads) == 2 else net  # a net's name stands beside its first row only
        if cells and cells[-1] == "True":
            chosen[net] = float(heads[-1]), int(cells[0])
    assert len(chosen) > 10
    assert {net: (RECIPES[net].learning_rate, RECIPES[net].epochs) for net in chosen} == chosen


def test_the_ladders_recipe_holds_the_ideas_that_were_kept():
    source = nbformat.read(ROOT / "notebooks/03_baseline.ipynb", as_version=4)
    (cell,) = [cell.source for cell in source.cells if "settings = {" in cell.source]
    names = {"augmentation": augmentation}
    for statement in ast.parse(cell).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id in ("noise", "settings"):
            exec(compile(ast.Module([statement], []), "ladder", "exec"), names)  # noqa: S102
    ideas = {name.replace(",", "").replace(" ", "-"): one for name, one in names["settings"].items()}
    records = pd.read_json(ROOT / "book/reference/results.json")
    rungs = records[
        records.condition.str.fullmatch(r"training=ladder-\d+-\S+") & (records.chapter == "03_baseline")
    ]
    rungs = rungs.assign(number=rungs.condition.str.extract(r"-(\d+)-", expand=False).astype(int))
    recipe = RECIPES["resnet1d-wang"]
    for rung in rungs.sort_values("number").itertuples():
        if rung.delta > 0:
            recipe = replace(recipe, **ideas[rung.condition.split("-", 2)[2]])
    assert recipe == RECIPES["ladder"]

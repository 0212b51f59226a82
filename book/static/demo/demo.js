// The page "Try it in the browser": reads a recording, asks the models that fit it, shows what they say.
import constants from "./constants.js";
import {drawSignals, drawWindows, scaleText} from "./drawing.js";
import {explain, openModel, predict, remarks, shownPiece} from "./model.js";
import {read} from "./readers.js";
import {clock, InvalidRecording, MissingChannels, printable} from "./text.js";

const place = name => new URL(name, import.meta.url).href;

// An element with attributes, of text and other elements.
const make = (name, attributes, ...content) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...content);
  return element;
};

const fetched = async address => {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${new URL(address).pathname.split("/").pop()} is not beside the page`);
  return answer;
};

let runtime = null;
const loadRuntime = () => runtime ??= import(place("onnxruntime/ort.wasm.bundle.min.js")).then(library => {
  library.env.wasm.numThreads = 1;
  library.env.wasm.wasmPaths = {wasm: place("onnxruntime/ort-wasm-simd-threaded.wasm")};
  library.env.logLevel = "fatal";
  return library;
});

// The files that the page offers for download.
const fileOf = name => {
  const link = document.querySelector(`a.download[href$="/${name}.onnx"]`);
  if (!link) throw new Error(`the page has no link to ${name}.onnx`);
  return link.href;
};

const models = new Map();
const loadModel = name => {
  if (!models.has(name))
    models.set(name, (async () => {
      const [library, file] = await Promise.all([loadRuntime(), fetched(fileOf(name))]);
      return openModel(library, new Uint8Array(await file.arrayBuffer()), constants.models[name], name);
    })());
  models.get(name).catch(() => models.delete(name)); // so that it is tried again
  return models.get(name);
};

// What the page shows of an answer.

const bar = (p, threshold) => make("span", {class: "bar", "aria-hidden": "true"},
  make("span", {class: "filled", style: `width: ${100 * p}%`}),
  make("span", {class: "at", style: `left: ${100 * threshold}%`}));

const tableOf = ({card, probabilities}) => {
  const rows = card.classes.map((name, k) => {
    const [p, threshold] = [probabilities[k], card.thresholds[k]];
    return make("tr", {},
      make("th", {scope: "row"}, printable(name)), make("td", {class: "bars"}, bar(p, threshold)),
      make("td", {}, make("data", {value: p}, p.toFixed(3))), make("td", {}, threshold.toFixed(3)),
      make("td", {}, p >= threshold ? "above" : ""));
  });
  const head = ["class", "", "probability", "threshold", ""].map(name => make("th", {scope: "col"}, name));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows));
};

const milliseconds = ms => `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;

const figureOf = (drawing, caption) =>
  make("figure", {class: "plot"}, drawing, make("figcaption", {}, caption));

const captionOf = (piece, card, state) => {
  const target = printable(card.classes[piece.target]);
  return `${scaleText(piece.signals, card)} Dots: without that piece the model finds less ${target}${state}.`;
};

const describe = (name, prediction, took, loading) => {
  const {card, windows} = prediction, count = `${windows.length} window${windows.length === 1 ? "" : "s"}`;
  const loaded = loading > 1 ? `, after ${milliseconds(loading)} to load it` : "";
  return make("section", {class: "answer", "data-model": name},
    make("h3", {}, printable(`${card.task}, ${card.model}`)),
    tableOf(prediction),
    ...remarks(prediction).map(line => make("p", {}, line)),
    make("p", {class: "took", "data-took": took, "data-loading": loading},
      `${count} in ${milliseconds(took)} on this machine${loaded}.`),
    make("p", {class: "about"}, printable(`Learnt from: ${card.trained_on}. Limits: ${card.limits.join("; ")}.`)));
};

// From files to answers.

class Superseded extends Error {}

let newest = 0;

const demo = document.getElementById("demo");
const status = make("p", {role: "status"}, "Choose a sample, or a file of your own.");
const answers = make("div", {class: "answers"});

// Shows answers of all models that fit the recording, then where they looked.
const answer = async (files, given) => {
  const turn = ++newest;
  const pause = async () => {
    await new Promise(resolve => setTimeout(resolve));
    if (turn !== newest) throw new Superseded();
  };
  const say = (text, kind = "") => {
    status.textContent = text;
    status.className = kind;
    demo.dataset.state = kind || "busy";
  };
  answers.replaceChildren();
  say("Reading ...");
  try {
    await pause();
    const {name, parts} = await read(files, given), reasons = {}, explained = [];
    const [{channels, values, rate}] = parts, title = printable(name);
    const about = `${title}: ${channels.length} channel${channels.length === 1 ? "" : "s"}, ${clock(values[0].length / rate)}.`;
    say(`${about} Asking the models ...`);
    await pause();
    const most = {}; // channels that a task was answered from: models that see more come first
    for (const [model, described] of Object.entries(constants.models)) {
      if (most[described.task] > described.channels.length) continue;
      try {
        const before = performance.now(), opened = await loadModel(model), loaded = performance.now();
        await pause();
        const prediction = await predict(parts, opened), took = performance.now() - loaded;
        await pause();
        const section = describe(model, prediction, took, loaded - before), piece = shownPiece(parts, prediction);
        const {card} = opened, figure = figureOf(drawSignals(piece, card), captionOf(piece, card, " (looking ...)"));
        section.querySelector("table").after(figure);
        if (prediction.windows.length > 1)
          figure.after(figureOf(
            drawWindows(prediction, piece),
            "Each window's probabilities, thresholds dashed; the piece above is shaded."));
        answers.append(section);
        explained.push([opened, piece, figure]);
        most[described.task] ??= described.channels.length;
      } catch (error) {
        if (!(error instanceof InvalidRecording)) throw error;
        reasons[model] = error;
      }
    }
    const refusals = Object.entries(reasons).map(([model, error]) => [model, printable(error.message), error]);
    if (!explained.length)
      throw new InvalidRecording(
        [`${title}: no model answers:`, ...refusals.map(([model, why]) => `  ${model}: ${why}`)].join("\n"));
    for (const [model, why, error] of refusals)
      if (!(error instanceof MissingChannels))
        answers.append(make("p", {class: "refused"}, `${title}: ${model} does not answer: ${why}`));
    say(`${about} Looking where the models looked ...`, "answered");
    for (const [opened, piece, figure] of explained) {
      const before = performance.now(), weights = await explain(opened, piece, pause);
      const state = `; found in ${milliseconds(performance.now() - before)}`;
      figure.replaceWith(figureOf(drawSignals(piece, opened.card, weights), captionOf(piece, opened.card, state)));
    }
    say(`${about} ${constants.noDiagnosis}`, "done");
  } catch (error) {
    if (error instanceof Superseded || turn !== newest) return;
    if (error instanceof InvalidRecording) say(`refused: ${error.message}`, "refused");
    else say(`The page failed (${error.name}: ${error.message}). biosignals predict may read the file.`, "refused");
  }
};

// The form.

const rate = make("input", {type: "number", min: 1, max: 100000, step: "any", id: "demo-rate"});
const unit = make("select", {id: "demo-unit"},
  ...["", "V", "mV", "uV"].map(name => make("option", {value: name}, name || "as the file says, else mV")));
const given = () => ({rate: Number(rate.value) || null, unit: unit.value || null});

const ask = files => answer(new Map(Array.from(files, file => [file.name, file])), given());

const samples = constants.samples.map(({name, files}) => {
  const button = make("button", {type: "button"}, name);
  button.onclick = async () => {
    try {
      const found = await Promise.all(files.map(async file => [file, await (await fetched(place(`samples/${file}`))).blob()]));
      await answer(new Map(found), {rate: null, unit: null});
    } catch (error) {
      status.textContent = `The sample could not be read: ${error.message}.`;
      demo.dataset.state = status.className = "refused";
    }
  };
  return button;
});

const input = make("input", {type: "file", multiple: "", id: "demo-files"});
input.onchange = () => {
  if (input.files.length) ask(input.files);
  input.value = "";
};

const drop = make("div", {class: "drop"},
  make("label", {for: "demo-files"},
    "A file of your own: drop it here, or choose it. A WFDB record is its .hea and .dat together."),
  input,
  make("details", {}, make("summary", {}, "Of tables that do not say it: sampling rate and unit"),
    make("label", {for: "demo-rate"}, "Hz "), rate, " ", make("label", {for: "demo-unit"}, "unit "), unit));
for (const kind of ["dragover", "dragleave", "drop"]) // anywhere: else the browser would open the file in place of the page
  document.addEventListener(kind, event => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragover");
  });
document.addEventListener("drop", event => {
  if (event.dataTransfer.files.length) ask(event.dataTransfer.files);
});

demo.replaceChildren(make("div", {class: "samples", role: "group", "aria-label": "Samples"}, ...samples), drop, status, answers);
demo.dataset.state = "ready";

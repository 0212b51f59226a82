// Tables of LabChart, AcqKnowledge and OpenSignals, which say in lines of their own what the columns are, as in
// biosignals.data.readers.programs.
import constants from "./constants.js";
import {InvalidRecording, general, whole} from "./text.js";

const {converted: CONVERTED, rows: ROWS} = constants.programs;
const [PER_SAMPLE, PER_TIME, CHANNELS] = ["perSample", "perTime", "channels"].map(name => whole(constants.patterns[name]));
const {seconds: SECONDS, epochs: EPOCHS, usual: USUAL} = constants.times;

const rateOf = (number, unit, isStep) => {
  const per = SECONDS[unit], rate = isStep ? 1 / (Number(number) * per) : Number(number) / per;
  if (!(rate > 0 && rate < Infinity)) throw new RangeError("no rate");
  return rate;
};

// Names or units of the last columns for rows of `width` cells.
const fit = (texts, width, endsEmpty) => {
  const before = width - texts.length - endsEmpty;
  if (before < 0) throw new InvalidRecording(`names ${texts.length} channels above rows of ${width} cells`);
  return [...Array(before).fill(""), ...texts, ...Array(Number(endsEmpty)).fill("")];
};

const labChart = lines => {
  const said = new Map();
  let last = 0;
  for (const [number, line] of lines.entries()) {
    const found = /^(\p{L}+)=\t?(.*)$/u.exec(line);
    if (!found) break;
    said.set(found[1], found[2].split("\t").map(cell => cell.trim()));
    last = number;
  }
  if (!["Interval", "ChannelTitle", "Range"].every(key => said.has(key))) return null;
  const [step, unit] = said.get("Interval")[0].split(/\s+/);
  const units = said.get("Range").map(text => text.split(/\s+/).at(-1));
  return {first: last + 1, names: said.get("ChannelTitle"), units, rate: rateOf(step, unit, true)};
};

const acqKnowledge = lines => {
  const texts = lines.slice(0, ROWS).map(line => line.trim());
  for (let number = 2; number <= texts.length; number++) {
    const [before, text] = texts.slice(number - 2, number), count = CHANNELS.exec(text);
    const step = PER_SAMPLE.exec(before), rate = PER_TIME.exec(before);
    if (!count || !(step || rate)) continue;
    const end = number + 2 * Number(count[1]), first = lines[end]?.includes("CH1") ? end + 2 : end;
    const own = lines.slice(number, end).map(line => line.trim());
    return {
      first, names: own.filter((_, i) => i % 2 === 0), units: own.filter((_, i) => i % 2),
      rate: rateOf(...(step ?? rate).slice(1), Boolean(step)),
    };
  }
  return null;
};

const openSignals = lines => {
  if (!/^#\s*OpenSignals/.test(lines[0] ?? "")) return null;
  const devices = Object.values(JSON.parse(lines[1].replace(/^[# ]+/, "")));
  if (!devices.every(device => device.convertedValues))
    throw new InvalidRecording(
      "is OpenSignals' text of its converter's counts: export it again, with values in their units");
  const names = devices.flatMap(({label, sensor, column}) => column.map(name => sensor[label.indexOf(name)] ?? null));
  const units = names.map(name => (Object.hasOwn(CONVERTED, name) ? CONVERTED[name] : "not stated"));
  return {first: 3, names, units, rate: rateOf(devices[0]["sampling rate"], "s", false)};
};

const refuseEmpatica = lines => {
  const [start, rate] = [0, 1].map(i => new Set((lines[i] ?? "").split(",").map(cell => (cell.trim() ? Number(cell) : NaN))));
  const [first] = start, [hertz] = rate, [low, high] = EPOCHS.s;
  if (start.size === 1 && rate.size === 1 && low < first && first < high && hertz > 0 && hertz <= USUAL[1])
    throw new InvalidRecording(
      `begins with a time and a sampling rate of ${general(hertz)} Hz, as Empatica's files do: write names of its` +
      " columns in their place");
};

// What one of these programs wrote above rows, null where none did: the first row, names and units of the last columns
// (name null: holds no signal) and the rate; fit: what lays them over rows.
export const programHeader = lines => {
  for (const [program, read] of Object.entries({LabChart: labChart, AcqKnowledge: acqKnowledge, OpenSignals: openSignals})) {
    let found;
    try {
      found = read(lines);
    } catch (error) {
      throw error instanceof InvalidRecording ? error : new InvalidRecording(`its header of ${program} is damaged`);
    }
    if (found) return {...found, fit};
  }
  refuseEmpatica(lines);
  return null;
};

// Files > a recording, as in biosignals.data.readers: parts of one sampling rate each, the fastest first.
// A part: {rate, channels: names, units, values: a Float32Array per channel}.
import constants from "./constants.js";
import {general, InvalidRecording, printable, refuseLong} from "./text.js";
import {readTable} from "./table.js";
import {readWfdb} from "./wfdb.js";

const {wfdb: WFDB, edf: EDF, tables: TABLES, hdf5: HDF5, others: OTHERS} = constants.fileTypes;
const {largestFile, mostMissing, signatures} = constants;

const kindOf = name => /[^/]+(\.[^./]+)$/.exec(name)?.[1].toLowerCase() ?? "";

const refuseKind = name => {
  const kind = kindOf(name);
  if (Object.hasOwn(OTHERS, kind)) throw new InvalidRecording(`is ${OTHERS[kind]}`);
  if ([...EDF, ...HDF5].includes(kind))
    throw new InvalidRecording("is EDF, BDF or HDF5, which this page does not read; biosignals predict does");
  if (![...WFDB, ...TABLES].includes(kind))
    throw new InvalidRecording(`a recording is one of ${[...WFDB, ...TABLES].join(", ")}`);
};

// Refuses what is no text of a table by its first bytes.
const refuseOthers = bytes => {
  const start = String.fromCharCode(...bytes.subarray(0, 64)).replace(/^\xef\xbb\xbf/, "").trimStart();
  const found = Object.keys(signatures).find(signature => start.startsWith(signature));
  if (found) throw new InvalidRecording(`is ${signatures[found]}`);
};

// The file that stands for a recording among those dropped together: the header of a WFDB record, else a table.
const chooseFile = names => {
  const wanted = names.filter(name => !Object.hasOwn(OTHERS, kindOf(name))), files = wanted.length ? wanted : names;
  const headers = files.filter(name => kindOf(name) === ".hea");
  const tables = files.filter(name => TABLES.includes(kindOf(name)));
  const found = headers.length ? [...headers, ...tables] : tables.length ? tables : files;
  const stems = new Set(found.map(name => name.slice(0, name.length - kindOf(name).length)));
  if (found.length > 1 && (stems.size > 1 || tables.length))
    throw new InvalidRecording(`one recording at a time, of ${found.map(printable).join(", ")}`);
  return found[0];
};

const byRate = channels => {
  const rates = [...new Set(channels.map(channel => channel.rate))].sort((a, b) => b - a);
  return rates.map(rate => {
    const own = channels.filter(channel => channel.rate === rate);
    return {
      rate, channels: own.map(one => one.name), units: own.map(one => one.unit), values: own.map(one => one.values),
    };
  });
};

const readChannels = async (name, files, given) => {
  refuseKind(name);
  for (const file of files.values())
    if (file.size > largestFile)
      throw new InvalidRecording(
        `more than ${largestFile >> 20} MiB, the most that this page takes; biosignals predict takes larger files`);
  const load = async file => new Uint8Array(await file.arrayBuffer());
  if (TABLES.includes(kindOf(name))) {
    const bytes = await load(files.get(name));
    refuseOthers(bytes);
    return readTable(bytes, given);
  }
  const stem = name.slice(0, name.length - kindOf(name).length);
  const header = [...files.keys()].find(other => other.toLowerCase() === `${stem}.hea`.toLowerCase());
  const alone = kindOf(name) === ".mat" ? "; without one, save its samples as CSV or HDF5" : "";
  if (!header) throw new InvalidRecording(`is read with its WFDB header, and ${stem}.hea is not beside it${alone}`);
  const loaded = new Map();
  for (const [other, file] of files) loaded.set(other, await load(file));
  return readWfdb(header, loaded, mostMissing);
};

const check = (parts, given) => {
  for (const {rate, values} of parts) {
    if (!(rate > 0 && rate < 1e5)) throw new InvalidRecording(`a sampling rate of ${rate} Hz`);
    if (!values[0].length)
      throw new InvalidRecording(
        `values of shape (${values.length}, 0) for ${values.length} channels: they must be (channels, samples)`);
    refuseLong(values[0].length / rate);
  }
  const {rate: asked} = given, rates = parts.map(part => part.rate);
  if (asked && !rates.some(rate => Math.abs(rate - asked) <= 0.01 * rate))
    throw new InvalidRecording(
      `it is sampled at ${rates.map(rate => general(rate)).join(" and ")} Hz, and ${general(asked)} Hz is asked for`);
};

// A recording's name and parts; files: File or Blob by name; given: {rate, unit}, null where not given.
// Rejects with InvalidRecording, whatever the files hold.
export const read = async (files, given) => {
  const name = chooseFile([...files.keys()]);
  try {
    const parts = byRate(await readChannels(name, files, given));
    check(parts, given);
    return {name, parts};
  } catch (error) {
    const why = error instanceof InvalidRecording ? error.message : `cannot be read (${error.name}: ${error.message})`;
    throw new InvalidRecording(printable(`${name}: ${why}`));
  }
};

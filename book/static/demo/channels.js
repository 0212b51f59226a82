// What channels and units are called: biosignals.data.channel_names and biosignals.data.units.
import constants from "./constants.js";
import {median} from "./signals.js";
import {casefold, InvalidRecording, strip, whole} from "./text.js";

const {leads, derived, synonyms, units, unitWords, micro, patterns} = constants;
const BEFORE_A_LEAD = new RegExp(`^(?:${patterns.beforeALead})`, "u");
const SOME_LEAD = whole(patterns.someLead);
const FURTHER = new RegExp(patterns.furtherLead, "u");
const NOT_DERIVED = constants.notDerived;

const without = (text, start, end) => {
  if (text.startsWith(start)) text = text.slice(start.length);
  return text.endsWith(end) ? text.slice(0, text.length - end.length) : text;
};

const cleaned = name => without(without(casefold(name.trim()), "eeg ", "-ref"), "", "-0");

const own = (table, key) => (Object.hasOwn(table, key) ? table[key] : undefined);

export const isLead = name => leads.includes(name.toUpperCase());

// A channel's name as others of the same channel have it, too, in lower case.
export const canonical = name => {
  const clean = cleaned(name), bare = clean.replace(BEFORE_A_LEAD, "").replace(/[)\]]+$/, "");
  const lead = own(synonyms, bare) ?? bare;
  return isLead(lead) ? lead : clean;
};

// Whether a channel is a lead of an ECG of which its name does not say which.
export const isSomeLead = name => SOME_LEAD.test(cleaned(name));

// Whether the number of such a channel says that it is not the first.
export const isFurtherLead = name => isSomeLead(name) && FURTHER.test(cleaned(name));

// Whether a model takes an ECG, by the unit on its card.
export const isEcg = card => card.unit.toLowerCase() === "mv";

// How many microvolts one `unit` is; null for no voltage.
export const microvolts = unit => {
  let name = casefold(strip(unit.replaceAll("\0", " "), " []()"));
  for (const spelt of [...micro].reverse()) name = name.replaceAll(spelt, "u");
  return own(units, own(unitWords, without(name, "", "s")) ?? name) ?? null;
};

const nanmean = rows => {
  let [total, count] = [0, 0];
  for (const row of rows) for (const x of row) if (Number.isFinite(x)) (total += Math.abs(x)), count++;
  return total / count;
};

// How far limb leads, `names`, are from what I and II, before them, make of them: a share of their mean sizes.
const derivedError = (values, names) => {
  const limb = values.map(row => {
    const offset = median(row.filter(Number.isFinite));
    return row.map(value => value - offset);
  });
  const errors = names.map((name, row) => {
    const [i, ii] = derived[name];
    return limb[row + 2].map((x, t) => x - (i * limb[0][t] + ii * limb[1][t]));
  });
  return nanmean(errors) / nanmean(limb);
};

// Refuses leads III, aVR, aVL and aVF that are not what I and II make of them.
export const refuseContradiction = (x, names) => {
  const keys = names.map(canonical), own = Object.keys(derived).filter(name => keys.includes(name));
  if (!own.length || !["i", "ii"].every(name => keys.includes(name))) return;
  const limb = ["i", "ii", ...own].map(name => x[keys.indexOf(name)]);
  if (!(derivedError(limb, own) <= NOT_DERIVED))
    throw new InvalidRecording(
      `its limb leads contradict each other (${own[0].toUpperCase()} does not follow from I and II):` +
      " their names, order or gains are wrong");
};

// Names for rows that have none, in the order in which ECGs are stored.
export const usualLeads = values => {
  if (values.length === 1) return ["ECG"];
  if (values.length === 8) return [...leads.slice(0, 2), ...leads.slice(6)];
  if (values.length !== 12) throw new InvalidRecording(`its ${values.length} channels have no names`);
  if (!(derivedError(values.slice(0, 6), Object.keys(derived)) <= NOT_DERIVED))
    throw new InvalidRecording(
      `its 12 channels have no names, and are not ${leads.join(", ")} in this order: III is not II - I`);
  return leads;
};

// What the page shows: the records of the run, and what is asked of each.

import { spoken, visible } from "gradcam/text.js";

// The records, in the arrays that rows.py describes. Names in them are anybody's: text goes into
// the page as text only, and addresses were made safe before they were written here.
export const DATA = JSON.parse(document.getElementById("records").textContent);
export const RECORDS = DATA.records;
export const RUNS = DATA.runs || null;
export const TRUTHS = DATA.truths || null;
export const CHECKS = DATA.checks || null;
if (CHECKS) RECORDS.forEach((record, place) => (record[11] = CHECKS[place]));

export const NAMES = DATA.classes.map(([index, , name]) => spoken(name) || "class " + index);
export const IDS = DATA.classes.map(([, id]) => visible(id));
export const TRUE_NAMES = (TRUTHS || []).map(([label, meant]) => (meant.length === 1 ? NAMES[meant[0]] : spoken(label)));

export const source = (record) => visible(record[0]);
export const basename = (record) => visible(record[0].split("/").pop());
export const predictions = (record) => record[3] || [];
export const maps = (record) => record[4] || [];
export const warning = (record) => visible(record[5] || "");
export const failure = (record) => record[6] || null;
const original = (record) => record[7] || "";
const small = (record) => record[8] || "";
export const truth = (record) => (typeof record[9] === "number" ? record[9] : null);
export const other = (record) => record[10] || null;

// What a check says: how the picture ended, whether that is fine, how many times a limit is reached.
export const checked = (record) => record[11] || null;
export const reasons = (record) => [...new Set([...checked(record)[3], ...checked(record)[4]])].map(visible);

export const first = (record) => predictions(record)[0] || null;
export const probability = (row) => (row && typeof row[1] === "number" ? row[1] : null);
export const confidence = (record) => probability(first(record));
export const isEmpty = (map) => typeof map[4] === "number";
export const maker = (map) => map[10] || 0;
export const means = (label, which) => TRUTHS[label][1].includes(which);

export function right(record) {
  if (!TRUTHS || truth(record) === null || !first(record)) return null;
  return means(truth(record), first(record)[0]);
}

export function margin(record) {
  const [one, two] = predictions(record).map(probability);
  return typeof one === "number" && typeof two === "number" ? one - two : null;
}

// The map to show: the first by the method and layer of that number, or else the first.
export function mapOf(record, number) {
  return maps(record).find((map) => maker(map) === number) || maps(record)[0] || null;
}

export function inBorder(record, number) {
  const map = mapOf(record, number);
  return map && typeof map[8] === "number" ? map[8] : null;
}

export function apart(record) {
  const distance = other(record) && other(record)[2];
  return typeof distance === "number" ? distance : null;
}

export function differs(record) {
  const [one, two] = [first(record), other(record) && (other(record)[0] || [])[0]];
  return Boolean(one && two && one[0] !== two[0]);
}

// What made a map: the method and, where it matters, the layer.
const LAYERS = new Set(DATA.makers.map(([, layer]) => layer));

export function makerName(number, whole = false) {
  const [method, layer] = DATA.makers[number] || ["", ""];
  const title = Object.hasOwn(DATA.titles, method) ? DATA.titles[method] : visible(method);
  const shown = whole || LAYERS.size > 1 ? visible(layer) : "";
  return [title, shown].filter(Boolean).join(" \u00b7 ");
}

// ---- addresses

function within(base, address) {
  return address ? base + address : "";
}

function thumbnail(base, key) {
  if (key.startsWith("data:image/webp;base64,")) return key;
  return /^[0-9a-f]{16}$/.test(key) ? base + "report_files/" + key.slice(0, 2) + "/" + key + ".webp" : "";
}

// Where the pictures of a record lie: that of the card first, then what may stand in for it.
export function imageOf(record, large) {
  const [full, little] = [original(record), thumbnail(DATA.base, small(record))];
  return (large ? [full, little] : [little, full]).filter(Boolean);
}

export function overlayOf(map, large, base = DATA.base) {
  const full = within(base, map[5] || map[6] || "");
  const little = thumbnail(base, map[7] || "");
  return (large && !little.startsWith("data:") ? [full, little] : [little, full]).filter(Boolean);
}

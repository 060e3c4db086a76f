"use strict";

// The records, in the arrays that rows.py describes. Names in them are anybody's: text goes into
// the page as text only, and addresses were made safe before they were written here.
const DATA = JSON.parse(document.getElementById("records").textContent);
const RECORDS = DATA.records;
const RUNS = DATA.runs || null;
const TRUTHS = DATA.truths || null;
const CHECKS = DATA.checks || null;
if (CHECKS) RECORDS.forEach((record, place) => (record[11] = CHECKS[place]));

// Control characters, those that turn the direction of writing, and halves of surrogate pairs.
const STEERING =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

function visible(text) {
  return String(text).replace(STEERING, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 256 ? "\\x" + code.toString(16).padStart(2, "0") : "\\u" + code.toString(16).padStart(4, "0");
  });
}

// As people write it.
const spoken = (name) => visible(name).replaceAll("_", " ");
const NAMES = DATA.classes.map(([index, , name]) => spoken(name) || "class " + index);
const IDS = DATA.classes.map(([, id]) => visible(id));
const TRUE_NAMES = (TRUTHS || []).map(([label, meant]) => (meant.length === 1 ? NAMES[meant[0]] : spoken(label)));

const source = (record) => visible(record[0]);
const basename = (record) => source(record).split(/[\\/]/).pop();
const predictions = (record) => record[3] || [];
const maps = (record) => record[4] || [];
const warning = (record) => visible(record[5] || "");
const failure = (record) => record[6] || null;
const original = (record) => record[7] || "";
const small = (record) => record[8] || "";
const truth = (record) => (typeof record[9] === "number" ? record[9] : null);
const other = (record) => record[10] || null;

// What a check says: how the picture ended, whether that is fine, how many times a limit is reached.
const checked = (record) => record[11] || null;
const reasons = (record) => [...new Set([...checked(record)[3], ...checked(record)[4]])].map(visible);

function timesLimit(beyond) {
  return beyond >= 1000 ? "" : beyond > 0 ? beyond.toFixed(beyond < 10 ? 2 : 0) + " \u00d7 its limit" : "";
}

const first = (record) => predictions(record)[0] || null;
const probability = (row) => (row && typeof row[1] === "number" ? row[1] : null);
const confidence = (record) => probability(first(record));
const isEmpty = (map) => typeof map[4] === "number";
const maker = (map) => map[10] || 0;
const means = (label, which) => TRUTHS[label][1].includes(which);

function right(record) {
  if (!TRUTHS || truth(record) === null || !first(record)) return null;
  return means(truth(record), first(record)[0]);
}

function margin(record) {
  const [one, two] = predictions(record).map(probability);
  return typeof one === "number" && typeof two === "number" ? one - two : null;
}

function inBorder(record) {
  const map = shownMap(record);
  return map && typeof map[8] === "number" ? map[8] : null;
}

function apart(record) {
  const distance = other(record) && other(record)[2];
  return typeof distance === "number" ? distance : null;
}

function differs(record) {
  const [one, two] = [first(record), other(record) && (other(record)[0] || [])[0]];
  return Boolean(one && two && one[0] !== two[0]);
}

// What made a map: the method and, where it matters, the layer.
const LAYERS = new Set(DATA.makers.map(([, layer]) => layer));

function makerName(number, whole = false) {
  const [method, layer] = DATA.makers[number] || ["", ""];
  const title = Object.hasOwn(DATA.titles, method) ? DATA.titles[method] : visible(method);
  const shown = whole || LAYERS.size > 1 ? visible(layer) : "";
  return [title, shown].filter(Boolean).join(" \u00b7 ");
}

function percent(value, digits = 0) {
  const shown = (100 * value).toFixed(digits);
  if (digits === 0 && value < 1 && shown === "100") return "> 99 %";
  if (digits === 0 && value > 0 && shown === "0") return "< 1 %";
  return shown + " %";
}

const count = (number) => number.toLocaleString("en");
const plural = (number, word) => count(number) + " " + word + (number === 1 ? "" : "s");

function decimal(value, digits) {
  const plain = value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e6);
  return plain ? value.toFixed(digits) : value.toExponential(2);
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
function imageOf(record, large) {
  const [full, little] = [original(record), thumbnail(DATA.base, small(record))];
  return (large ? [full, little] : [little, full]).filter(Boolean);
}

function overlayOf(map, large, base = DATA.base) {
  const full = within(base, map[5] || map[6] || "");
  const little = thumbnail(base, map[7] || "");
  return (large && !little.startsWith("data:") ? [full, little] : [little, full]).filter(Boolean);
}

// The map itself: rows, columns and bytes, or null.
function gridOf(text) {
  const found = /^(\d{1,2})x(\d{1,2}):([A-Za-z0-9+/]*={0,2})$/.exec(text || "");
  if (!found) return null;
  try {
    const cells = Uint8Array.from(atob(found[3]), (sign) => sign.charCodeAt(0));
    const [rows, columns] = [Number(found[1]), Number(found[2])];
    return cells.length && cells.length === rows * columns ? { rows, columns, cells } : null;
  } catch {
    return null;
  }
}

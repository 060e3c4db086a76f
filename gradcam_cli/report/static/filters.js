// Which pictures, in which order.

import {
  CHECKS, DATA, IDS, NAMES, RECORDS, RUNS, TRUE_NAMES, apart, checked, confidence, differs, failure, first, inBorder,
  isEmpty, maps, margin, right, source, truth, warning,
} from "gradcam/data.js";
import { isolated, visible } from "gradcam/text.js";

// Of two runs, what is counted is the first one's.
export const IN_FIRST = RUNS && !CHECKS ? " in " + isolated(visible(RUNS[0])) : "";

export const SHOWN = {
  "": ["all", () => true],
  right: ["right" + IN_FIRST, (record) => right(record) === true],
  wrong: ["wrong" + IN_FIRST, (record) => right(record) === false],
  differ: ["answered otherwise", differs],
  failed: ["failed" + IN_FIRST, (record) => Boolean(failure(record))],
  empty: ["with an empty map" + IN_FIRST, (record) => maps(record).some(isEmpty)],
  warned: ["with a warning" + IN_FIRST, (record) => Boolean(warning(record))],
  ...Object.fromEntries(
    ["changed", "beyond", "missing", "new", "allowed", "same", "within"].map((word) => [
      word,
      [{ beyond: "beyond a limit", within: "within the limits" }[word] || word, (record) => Boolean(checked(record)) && checked(record)[0] === word],
    ]),
  ),
};

// Each order: what it is called, the number it goes by, and whether the largest comes first.
export const SORTS = {
  "": [CHECKS ? "worst first" : "as listed", null, false],
  ...(RUNS ? { apart: ["maps furthest apart", apart, true], alike: ["maps most alike", apart, false] } : {}),
  least: ["least confident", confidence, false],
  surest: ["most confident", confidence, true],
  narrow: ["narrowest margin", margin, false],
  wide: ["widest margin", margin, true],
  border: ["most heat in the border", inBorder, true],
  name: ["file name", null, false],
};

let lowered = null;

function matching(words) {
  const text = words.toLowerCase();
  lowered = lowered || RECORDS.map((record) => source(record).toLowerCase());
  const hit = DATA.classes.map(([, , name], place) =>
    [NAMES[place], IDS[place], name].some((known) => known.toLowerCase().includes(text)),
  );
  const meant = TRUE_NAMES.map((name) => name.toLowerCase().includes(text));
  return (record, place) =>
    lowered[place].includes(text) ||
    (first(record) && hit[first(record)[0]]) ||
    maps(record).some((map) => hit[map[0]]) ||
    (truth(record) !== null && meant[truth(record)]);
}

// Places of the records that pass; without `confident` whatever their confidence.
export function chosen(state, confident = true) {
  const [, shown] = SHOWN[state.show];
  const named = state.q ? matching(state.q) : null;
  const index = state.class === "" ? null : Number(state.class);
  const explained = state.explained === "" ? null : Number(state.explained);
  const label = state.truth === "" ? null : Number(state.truth);
  const ranged = confident && (state.from > 0 || state.to < 1);
  const places = [];
  for (let place = 0; place < RECORDS.length; place += 1) {
    const record = RECORDS[place];
    if (!shown(record) || (named && !named(record, place))) continue;
    if (index !== null && !(first(record) && DATA.classes[first(record)[0]][0] === index)) continue;
    if (explained !== null && !maps(record).some((map) => DATA.classes[map[0]][0] === explained)) continue;
    if (label !== null && truth(record) !== label) continue;
    if (ranged) {
      const sure = confidence(record);
      if (sure === null || sure < state.from || sure > state.to) continue;
    }
    places.push(place);
  }
  return places;
}

let ranks = null;

function ranksByName() {
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  const names = RECORDS.map(source);
  const made = new Uint32Array(names.length);
  const inOrder = names.map((_, place) => place).sort((a, b) => compare(names[a], names[b]) || a - b);
  inOrder.forEach((place, rank) => (made[place] = rank));
  return made;
}

// With `by`, the number of the method and layer whose maps are shown.
export function ordered(places, sort, by) {
  if (sort === "name") {
    ranks = ranks || ranksByName();
    return [...places].sort((a, b) => ranks[a] - ranks[b]);
  }
  const [, number, down] = SORTS[sort];
  if (!number) return places;
  const known = [];
  const unknown = [];
  for (const place of places) {
    const value = number(RECORDS[place], by);
    if (value === null) unknown.push(place);
    else known.push([value, place]);
  }
  known.sort(([a, x], [b, y]) => (down ? b - a : a - b) || x - y);
  return [...known.map(([, place]) => place), ...unknown];
}

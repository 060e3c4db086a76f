// The mean map of each class.

import { START, ask, state } from "gradcam/address.js";
import { DATA, IDS, NAMES, RECORDS, TRUTHS, confidence, first, isEmpty, maps, right } from "gradcam/data.js";
import { focusSpot } from "gradcam/gallery.js";
import { gridOf, heatCanvas } from "gradcam/heat.js";
import { $, button, element } from "gradcam/parts.js";
import { count, percent, plural } from "gradcam/text.js";

export const CLASS_SORTS = {
  pictures: ["most pictures", (row) => row.pictures, true],
  maps: ["most maps", (row) => row.maps, true],
  name: ["name", null, false],
  least: ["least confident", (row) => row.sure, false],
  border: ["most heat in the border", (row) => row.border, true],
  ...(TRUTHS ? { wrong: ["most often wrong", (row) => (row.judged ? -row.right / row.judged : null), true] } : {}),
};

let classRows = null;

function countedClasses() {
  const made = new Map();
  const at = (which) => {
    if (!made.has(which)) {
      made.set(which, { which, pictures: 0, known: 0, total: 0, sure: null, judged: 0, right: 0, empty: 0, maps: 0, border: null });
    }
    return made.get(which);
  };
  for (const record of RECORDS) {
    for (const map of maps(record)) {
      if (isEmpty(map)) at(map[0]).empty += 1;
      else at(map[0]).maps += 1;
    }
    if (!first(record)) continue;
    const row = at(first(record)[0]);
    row.pictures += 1;
    const sure = confidence(record);
    if (sure !== null) {
      row.known += 1;
      row.total += sure;
      row.sure = row.total / row.known;
    }
    const verdictOf = right(record);
    if (verdictOf !== null) row.judged += 1;
    if (verdictOf) row.right += 1;
  }
  return [...made.values()];
}

// Which part of a mean map's heat lies in the outer tenth on each side.
function borderOf(text) {
  const grid = gridOf(text);
  if (!grid) return null;
  const part = (place, length) =>
    Math.max(0, Math.min((place + 1) / length, 0.9) - Math.max(place / length, 0.1)) * length;
  let inside = 0;
  let whole = 0;
  grid.cells.forEach((cell, place) => {
    const [row, column] = [Math.floor(place / grid.columns), place % grid.columns];
    inside += cell * part(row, grid.rows) * part(column, grid.columns);
    whole += cell;
  });
  return whole ? 1 - inside / whole : null;
}

export function drawClasses(by, sort) {
  classRows = classRows || countedClasses();
  const mean = new Map();
  for (const [which, maker, number, heat] of DATA.means) {
    if (maker === by || !mean.has(which)) mean.set(which, [number, heat]);
  }
  for (const row of classRows) row.border = mean.has(row.which) ? borderOf(mean.get(row.which)[1]) : null;
  const [, number, down] = CLASS_SORTS[sort];
  const value = (row) => (number(row) === null ? -Infinity * (down ? 1 : -1) : number(row));
  const named = (a, b) => NAMES[a.which].localeCompare(NAMES[b.which]);
  const inOrder = [...classRows].sort((a, b) => {
    const [one, two] = number ? [value(a), value(b)] : [0, 0];
    return (one === two ? 0 : down ? two - one : one - two) || named(a, b);
  });
  $("tiles").replaceChildren(...inOrder.map((row) => tile(row, mean.get(row.which))));
}

function tile(row, mean) {
  const [number, heat] = mean || [0, ""];
  const canvas = heatCanvas(heat, "Mean of " + plural(number, "map"), true);
  const theirs = () => {
    const filter = { [row.pictures ? "class" : "explained"]: String(DATA.classes[row.which][0]) };
    ask({ ...START, sort: state.sort, maker: state.maker, ...filter });
    focusSpot(0);
  };
  const made = button("", theirs, { class: "tile" });
  const facts = [];
  if (row.pictures) facts.push(plural(row.pictures, "picture"));
  if (row.sure !== null) facts.push(percent(row.sure) + " confident");
  if (number && number !== row.pictures) facts.push("mean of " + plural(number, "map"));
  const more = [];
  if (row.judged) more.push(count(row.right) + " of " + count(row.judged) + " right");
  if (row.border !== null) more.push(percent(row.border) + " in the border");
  if (row.empty) more.push(count(row.empty) + " empty");
  made.append(
    canvas || element("span", { class: "absent" }, "no map"),
    element("span", { class: "label", dir: "auto", title: IDS[row.which] }, NAMES[row.which]),
    element("small", {}, facts.join(" \u00b7 ")),
    element("small", {}, more.join(" \u00b7 ")),
  );
  return element("li", {}, made);
}

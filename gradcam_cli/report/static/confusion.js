// What was taken for what: a list, and a matrix whose cells lead to their pictures.

import { START, ask } from "gradcam/address.js";
import { DATA, NAMES, TRUE_NAMES, TRUTHS, means } from "gradcam/data.js";
import { focusSpot } from "gradcam/gallery.js";
import { $, bdi, button, element } from "gradcam/parts.js";
import { count, plural } from "gradcam/text.js";

const MOST = 40;

export function drawConfusion() {
  const wrong = DATA.pairs.filter(([label, which]) => !means(label, which));
  wrong.sort((a, b) => b[2] - a[2] || a[0] - b[0]);
  const shown = wrong.slice(0, 60).map(([label, which, number]) => {
    const words = element("span", {}, bdi(TRUE_NAMES[label]), element("span", { class: "faint" }, " taken for "), bdi(NAMES[which]));
    const made = button("", () => askPair(label, which), { class: "plain" });
    made.append(words, element("span", { class: "number" }, count(number)));
    return element("li", {}, made);
  });
  $("pairs").replaceChildren(...(shown.length ? shown : [element("li", { class: "faint" }, "nothing: all are right")]));
  drawMatrix(wrong);
}

function askPair(label, which) {
  ask({ ...START, truth: String(label), class: String(DATA.classes[which][0]) });
  focusSpot(0);
}

// The labels to show: all, or those with most mistakes where there are too many.
function labelsShown(wrong) {
  const mistakes = new Map();
  for (const [label, , number] of wrong) mistakes.set(label, (mistakes.get(label) || 0) + number);
  const every = [...new Set(DATA.pairs.map(([label]) => label))];
  if (every.length <= MOST) return [every.sort((a, b) => TRUE_NAMES[a].localeCompare(TRUE_NAMES[b])), every.length];
  const worst = [...mistakes.keys()].sort((a, b) => mistakes.get(b) - mistakes.get(a) || a - b).slice(0, MOST);
  return [worst, every.length];
}

// One column a class: those the labels mean, in the same order, then the others.
function columnsFor(labels, cells) {
  const column = new Map();
  for (const label of labels) for (const which of TRUTHS[label][1]) column.set(which, column.size);
  const rest = new Map();
  for (const [, which, number] of cells) if (!column.has(which)) rest.set(which, (rest.get(which) || 0) + number);
  const others = [...rest.keys()].sort((a, b) => rest.get(b) - rest.get(a) || NAMES[a].localeCompare(NAMES[b]));
  return [...column.keys(), ...others.slice(0, MOST)];
}

function drawMatrix(wrong) {
  const [labels, all] = labelsShown(wrong);
  const cells = DATA.pairs.filter(([label]) => labels.includes(label));
  const columns = columnsFor(labels, cells);
  const numbers = new Map(cells.map(([label, which, number]) => [label + "," + which, number]));
  const sums = new Map();
  for (const [label, , number] of cells) sums.set(label, (sums.get(label) || 0) + number);
  $("matrixsaid").textContent =
    (labels.length < all ? "The " + labels.length + " of " + all + " classes with most mistakes. " : "") +
    "A row is what is there, a column what was predicted. A number leads to its pictures.";
  const head = element("tr", {}, element("th", { scope: "col" }, "true class"));
  for (const which of columns) head.append(element("th", { scope: "col" }, element("span", { dir: "auto" }, NAMES[which])));
  const body = labels.map((label) => {
    const line = element("tr", {}, element("th", { scope: "row", dir: "auto", title: TRUE_NAMES[label] }, TRUE_NAMES[label]));
    for (const which of columns) line.append(cell(label, which, numbers.get(label + "," + which), sums.get(label)));
    return line;
  });
  $("matrix").replaceChildren(
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
  );
  if ($("matrix").scrollWidth > $("matrix").clientWidth) $("matrixsaid").append(" The table goes on to the right: scroll it sideways.");
}

function cell(label, which, number, sum) {
  const hit = means(label, which);
  if (!number) return element("td", { class: hit ? "hit" : "" });
  const words = TRUE_NAMES[label] + " predicted as " + NAMES[which] + ": " + plural(number, "picture");
  const made = button(count(number), () => askPair(label, which), { "aria-label": words, title: words });
  const inside = element("td", { class: hit ? "hit" : "miss" }, made);
  inside.style.setProperty("--share", Math.round(100 * (0.15 + (0.35 * number) / sum)) + "%");
  return inside;
}

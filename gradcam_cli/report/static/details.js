// What is known of one picture: predictions, maps, the record and the settings.

import {
  CHECKS, DATA, IDS, NAMES, RUNS, TRUE_NAMES, TRUTHS, apart, checked, isEmpty, maker, makerName, maps, margin, means, other,
  overlayOf, predictions, probability, reasons, source, truth, warning,
} from "gradcam/data.js";
import { bdi, button, element, image, meter } from "gradcam/parts.js";
import { decimal, percent, timesLimit, visible } from "gradcam/text.js";

// `shown` is the place of the map that is shown, and `choose` shows another.
export function details(record, shown, choose) {
  const map = maps(record)[shown] || null;
  const made = [];
  if (CHECKS) made.push(judged(record, map));
  if (predictions(record).length) made.push(block(RUNS ? visible(RUNS[0]) : "Predictions", ranking(predictions(record), record)));
  const theirs = other(record);
  if (theirs && (theirs[0] || []).length) made.push(block(visible(RUNS[1]), ranking(theirs[0], record)));
  if (RUNS && !theirs) made.push(block(visible(RUNS[1]), element("p", { class: "faint" }, "does not have this picture")));
  if (maps(record).length > 1) made.push(block("Maps", strip(record, shown, choose)));
  made.push(block("Record", facts(record, map), settingsOf()));
  return made;
}

function block(title, ...inside) {
  return element("section", {}, element("h3", { dir: "auto" }, title), ...inside);
}

// The reasons of a check, and every number beside its limit, those of the shown map's class first.
function judged(record, map) {
  const [word, fine, beyond, , , numbers] = checked(record);
  const title = [visible(word), timesLimit(beyond)].filter(Boolean).join(" \u00b7 ");
  const made = block(title, element("ul", { class: "plainlist" }, ...reasons(record).map((why) => element("li", { dir: "auto" }, why))));
  made.classList.add("judged");
  made.querySelector("h3").classList.add(fine ? "good" : "bad");
  if (!numbers.length) return made;
  const own = (row) => (map && row[0] === map[0] ? 0 : 1);
  const sorted = [...numbers].sort((one, two) => own(one) - own(two));
  const cell = (value) => element("td", { class: "number" }, typeof value === "number" ? decimal(value, 4) : "");
  const line = ([which, name, value, limit, times]) =>
    element(
      "tr",
      { class: times > 1 ? "bad" : null },
      element("td", { dir: "auto" }, NAMES[which]),
      element("td", { dir: "auto" }, visible(name)),
      cell(value),
      cell(limit),
    );
  const heads = ["class", "number", "now", "limit"].map((text) => element("th", { scope: "col" }, text));
  made.append(
    element("table", { class: "differing" }, element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...sorted.map(line))),
  );
  return made;
}

function ranking(rowsOf, record) {
  return element("ol", { class: "ranking" }, ...rowsOf.map((row) => ranked(row, record)));
}

function ranked(row, record) {
  const sure = probability(row);
  const isTrue = TRUTHS && truth(record) !== null && means(truth(record), row[0]);
  const score = typeof row[2] === "number" ? "score " + decimal(row[2], 2) : "not finite";
  return element(
    "li",
    {},
    element("span", { class: "label", title: IDS[row[0]] }, bdi(NAMES[row[0]]), isTrue ? element("span", { class: "good" }, " \u2713 true class") : null),
    element(
      "span",
      { class: "number" },
      sure === null ? score : percent(sure, 1),
      sure !== null && typeof row[2] === "number" ? element("small", { title: "score" }, decimal(row[2], 2)) : null,
    ),
    sure === null ? null : meter(sure),
  );
}

function strip(record, shown, choose) {
  const made = maps(record).map((map, place) => {
    const picture = element("span", { class: "mini" });
    const gone = (lost) => lost.replaceWith(isEmpty(map) ? "" : element("span", { class: "absent" }, "not in the folder"));
    picture.append(image(overlayOf(map, false), "", gone));
    const words = element("span", { class: "label", dir: "auto" }, NAMES[map[0]]);
    const several = DATA.makers.length > 1 ? element("small", {}, makerName(maker(map))) : null;
    const number = typeof map[1] === "number" ? percent(map[1], 1) : "";
    const one = button("", () => choose(place), { "aria-pressed": String(place === shown), "data-key": "map" + place });
    one.append(picture, words, element("small", {}, isEmpty(map) ? "empty" : number));
    if (several) one.append(several);
    return one;
  });
  return element("div", { class: "strip", role: "group", "aria-label": "Maps of this picture" }, ...made);
}

function facts(record, map) {
  const known = [["file", source(record)]];
  if (record[1]) known.push(["size", record[1] + " \u00d7 " + record[2] + " pixels"]);
  if (TRUTHS && truth(record) !== null) known.push(["true class", TRUE_NAMES[truth(record)]]);
  if (margin(record) !== null) known.push(["margin", percent(margin(record), 1) + " before the second"]);
  if (map) {
    known.push(["explained", NAMES[map[0]] + (IDS[map[0]] ? " (" + IDS[map[0]] + ")" : "")]);
    if (typeof map[2] === "number") known.push(["score", decimal(map[2], 3)]);
    if (map[3]) known.push(["peak", "x " + map[3][0] + ", y " + map[3][1]]);
    if (typeof map[8] === "number") known.push(["heat in the border", percent(map[8])]);
    if (makerName(maker(map), true)) known.push(["method and layer", makerName(maker(map), true)]);
  }
  if (apart(record) !== null) known.push(["maps apart", apart(record).toFixed(3)]);
  if (warning(record)) known.push(["warning", warning(record)]);
  const rowsOf = known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", { dir: "auto" }, value)]);
  return element("dl", { class: "facts" }, ...rowsOf);
}

function settingsOf() {
  const commands = [...document.querySelectorAll("#about .command code")].map((code) => code.textContent);
  if (!commands.length) return null;
  const lines = commands.map((line) => element("code", {}, line));
  return element("details", {}, element("summary", {}, "Settings of the run"), element("div", { class: "command" }, ...lines));
}

// One card of the gallery: picture and heat in one frame, and what is known at a glance.

import { linkOf, state } from "gradcam/address.js";
import {
  CHECKS, DATA, IDS, NAMES, RECORDS, RUNS, TRUE_NAMES, TRUTHS, apart, basename, checked, failure, first, imageOf, isEmpty,
  maker, mapOf, maps, other, overlayOf, probability, reasons, right, source, truth, warning,
} from "gradcam/data.js";
import { bdi, element, image, meter } from "gradcam/parts.js";
import { decimal, percent, timesLimit, visible } from "gradcam/text.js";

// `spot` is where it stands among `total`, `by` the number of the method and layer to show.
export function card(place, spot, total, by) {
  const record = RECORDS[place];
  const map = shownMap(record, by);
  const link = element("a", { class: "open", href: linkOf(record), "aria-label": described(record, map) });
  const made = element(
    "div",
    { class: "card", role: "listitem", "aria-setsize": total, "aria-posinset": spot + 1 },
    element("div", { class: "frames" }, ...(RUNS ? pair(record, map) : [frame(record, map)]), link),
    said(record),
  );
  made.dataset.spot = spot;
  return made;
}

// What is asked for decides which map a card shows, and the large view first.
export function shownMap(record, by) {
  const index = state.explained === "" ? null : Number(state.explained);
  const wanted = (map) => (state.show !== "empty" || isEmpty(map)) && (index === null || DATA.classes[map[0]][0] === index);
  const among = state.show === "empty" || index !== null ? maps(record).filter(wanted) : [];
  return among.find((map) => maker(map) === by) || among[0] || mapOf(record, by);
}

export function described(record, map) {
  const row = first(record);
  const words = failure(record) ? "failed" : row ? NAMES[row[0]] + sureness(row) : "no prediction";
  const heat = map && !isEmpty(map) ? ", heatmap for " + NAMES[map[0]] : "";
  return basename(record) + ": " + words + heat;
}

const sureness = (row) => (probability(row) === null ? "" : ", " + percent(probability(row)));

function frame(record, map, base = DATA.base) {
  const made = element("div", { class: "frame" });
  const under = imageOf(record, false);
  const over = map ? overlayOf(map, false, base) : [];
  const bare = (lost) => {
    lost.remove();
    made.classList.add("alone");
  };
  if (under.length) made.append(image(under, "", bare, "under"));
  if (over.length && !(map && isEmpty(map) && under.length)) {
    const gone = (lost) => {
      lost.replaceWith(absence(record, map));
      made.querySelector(".wipe")?.remove();
    };
    made.append(image(over, "", gone, "over"));
  }
  if (!made.children.length || (map && (isEmpty(map) || !over.length))) made.append(absence(record, map));
  made.classList.toggle("alone", !under.length);
  if (under.length && over.length && !isEmpty(map)) made.append(wipe(made, record));
  return made;
}

function absence(record, map) {
  const said = (...words) => element("p", { class: "absent" }, ...words);
  if (failure(record)) return said("failed: " + (visible(failure(record)[0]) || "unknown"));
  if (map && isEmpty(map)) {
    const of = maps(record).length > 1 ? [" of ", bdi(NAMES[map[0]])] : [];
    return said("empty map", ...of, ": " + (visible(DATA.reasons[map[4]][0]) || "unknown"));
  }
  return said(map ? "the heatmap is not in the folder" : "no heatmap");
}

function wipe(within, record) {
  const slider = element("input", {
    class: "wipe",
    type: "range",
    min: "0",
    max: "100",
    value: "100",
    "aria-label": "How much of " + basename(record) + " has heat on it",
  });
  slider.addEventListener("input", () => {
    within.style.setProperty("--wipe", slider.value + "%");
    within.classList.toggle("wiped", slider.value !== "100");
  });
  return slider;
}

// The other run's map to look at beside one: of the same class by the same method, or else of that
// class, or else its first.
export function counterpart(record, map) {
  const theirs = (other(record) || [])[1] || [];
  const same = theirs.filter((each) => map && each[0] === map[0]);
  const method = (each) => (DATA.makers[maker(each)] || [])[0];
  return (
    same.find((each) => maker(each) === maker(map)) || same.find((each) => method(each) === method(map)) || same[0] || theirs[0] || null
  );
}

function pair(record, map) {
  return [
    named(frame(record, map), RUNS[0]),
    other(record)
      ? named(frame(record, counterpart(record, map), DATA.otherBase), RUNS[1])
      : element("div", { class: "frame" }, element("p", { class: "absent" }, "not in ", bdi(visible(RUNS[1])))),
  ];
}

function named(made, run) {
  made.append(element("span", { class: "run", dir: "auto", "aria-hidden": "true" }, visible(run)));
  return made;
}

function said(record) {
  const made = element("div", { class: "said" });
  if (failure(record)) made.append(element("p", { class: "answer bad", dir: "auto" }, visible(failure(record)[1]) || "failed"));
  else if (RUNS) made.append(answer(first(record)), other(record) ? answer((other(record)[0] || [])[0] || null) : lacking());
  else made.append(answer(first(record)));
  if (TRUTHS && !failure(record)) made.append(verdict(record));
  if (CHECKS) made.append(...outcome(record));
  const facts = [element("span", { class: "name", dir: "auto", title: source(record) }, basename(record))];
  if (RUNS && apart(record) !== null) facts.push(element("span", { class: "number" }, "apart " + apart(record).toFixed(2)));
  if (warning(record)) facts.push(element("span", { class: "odd", title: warning(record) }, "warned"));
  made.append(element("p", { class: "file" }, ...facts));
  return made;
}

function outcome(record) {
  const [word, fine, beyond] = checked(record);
  const why = reasons(record);
  const words = [visible(word), timesLimit(beyond)].filter(Boolean).join(" \u00b7 ");
  return [
    element("p", { class: "verdict " + (fine ? "good" : "bad") }, (fine ? "\u2713 " : "\u2717 ") + words),
    element("p", { class: "verdict faint", dir: "auto", title: why.join("\n") }, why.join("; ") || "\u00a0"),
  ];
}

function answer(row) {
  if (!row) return element("p", { class: "answer" }, element("span", { class: "label faint" }, "no prediction"));
  const sure = probability(row);
  const number = sure === null ? (typeof row[2] === "number" ? decimal(row[2], 2) : "") : percent(sure);
  const made = element(
    "p",
    { class: "answer", title: NAMES[row[0]] + (IDS[row[0]] ? " (" + IDS[row[0]] + ")" : "") },
    element("span", { class: "label", dir: "auto" }, NAMES[row[0]]),
    element("span", { class: "number" }, number),
  );
  if (sure !== null) made.append(meter(sure));
  return made;
}

const lacking = () =>
  element("p", { class: "answer" }, element("span", { class: "label faint" }, "not in ", bdi(visible(RUNS[1]))));

function verdict(record) {
  const known = right(record);
  const said = (kind, ...words) =>
    element("p", { class: "verdict " + kind }, ...(RUNS && !CHECKS ? [bdi(visible(RUNS[0])), ": "] : []), ...words);
  if (known === null) return said("faint", "true class not known");
  if (known) return said("good", "\u2713 right");
  return said("bad", "\u2717 is ", bdi(TRUE_NAMES[truth(record)]));
}

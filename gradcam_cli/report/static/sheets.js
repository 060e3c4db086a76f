// Picture, overlay and bare heat side by side, at full size.

import { counterpart } from "gradcam/card.js";
import { DATA, NAMES, RUNS, basename, failure, imageOf, isEmpty, overlayOf } from "gradcam/data.js";
import { colourBar, differenceCanvas, gridOf, heatCanvas } from "gradcam/heat.js";
import { setOverlay } from "gradcam/overlay.js";
import { $, bdi, element, image } from "gradcam/parts.js";
import { visible } from "gradcam/text.js";

export function sheets(record, map) {
  if (failure(record)) {
    const [kind, message] = failure(record).map(visible);
    return [element("p", { class: "notice bad", dir: "auto" }, "Failed (" + (kind || "unknown") + "): " + message)];
  }
  const made = [sheet("Picture", pictureSheet(record, map), peakSaid(map))];
  if (map) {
    const over = sheet(RUNS ? visible(RUNS[0]) : "Overlay", overlaySheet(record, map, DATA.base), NAMES[map[0]]);
    if (over.querySelector(".under")) over.querySelector("figcaption").append(overlaySlider());
    made.push(over);
  }
  const theirs = RUNS && counterpart(record, map);
  if (theirs) made.push(sheet(visible(RUNS[1]), overlaySheet(record, theirs, DATA.otherBase), NAMES[theirs[0]]));
  if (map && !RUNS) made.push(...heatSheet(record, map, "Heat"));
  if (RUNS && map) made.push(...heatSheet(record, map, ["Heat, ", bdi(visible(RUNS[0]))]));
  if (theirs) made.push(...heatSheet(record, theirs, ["Heat, ", bdi(visible(RUNS[1]))]));
  if (map && theirs) made.push(...differenceSheet(record, map, theirs));
  return made;
}

function sheet(title, inside, caption) {
  const words = element("figcaption", {}, element("strong", { dir: "auto" }, ...[title].flat()));
  if (caption) words.append(element("span", { dir: "auto" }, ...[caption].flat()));
  return element("figure", { class: "sheet" }, inside, words);
}

function boxOf(record) {
  const made = element("div", { class: "box" });
  if (record[1] && record[2]) made.style.aspectRatio = record[1] + " / " + record[2];
  return made;
}

function absentIn(box, words) {
  return (lost) => {
    lost.remove();
    box.parentNode?.querySelector(".opacity")?.remove();
    if (!box.querySelector(".absent")) box.append(element("p", { class: "absent" }, words));
  };
}

function pictureSheet(record, map) {
  const box = boxOf(record);
  box.append(image(imageOf(record, true), basename(record), absentIn(box, "the picture is not where it was")));
  if (map && map[3] && record[1] && record[2]) {
    const mark = element("span", { class: "peak", title: "Peak of the heatmap", "aria-hidden": "true" });
    mark.style.left = (100 * (map[3][0] + 0.5)) / record[1] + "%";
    mark.style.top = (100 * (map[3][1] + 0.5)) / record[2] + "%";
    box.append(mark);
  }
  return box;
}

const peakSaid = (map) => (map && map[3] ? "peak at " + map[3][0] + ", " + map[3][1] : "");

function overlaySheet(record, map, base) {
  const box = boxOf(record);
  const under = imageOf(record, true);
  const alt = "Heatmap for " + NAMES[map[0]] + " on " + basename(record);
  if (under.length) box.append(image(under, "", (lost) => lost.remove(), "under"));
  if (isEmpty(map)) box.append(element("p", { class: "absent" }, emptySaid(map)));
  box.append(image(overlayOf(map, true, base), alt, absentIn(box, "the heatmap is not in the folder"), "over"));
  return box;
}

function overlaySlider() {
  const slider = element("input", {
    type: "range",
    min: "0",
    max: "100",
    value: $("opacity").value,
    "aria-label": "Strength of the overlay",
    class: "opacity",
    "data-key": "opacity",
  });
  slider.addEventListener("input", () => setOverlay(Number(slider.value)));
  return slider;
}

function emptySaid(map) {
  const [reason, why] = DATA.reasons[map[4]].map(visible);
  return "empty: " + (reason || "unknown") + (why ? " (" + why + ")" : "");
}

function heatSheet(record, map, title) {
  const alt = "Bare heat for " + NAMES[map[0]] + ", scaled to its maximum";
  const grid = gridOf(map[9]);
  const canvas = heatCanvas(map[9], alt);
  if (!canvas) return [];
  const box = boxOf(record);
  if (!DATA.squashed) canvas.classList.add("square");
  box.append(canvas);
  const bar = element("span", { class: "colourbar", "aria-hidden": "true" });
  bar.style.background = colourBar;
  const made = sheet(title, box, grid.rows + " \u00d7 " + grid.columns + " cells");
  made.querySelector("figcaption").append(element("span", { class: "scale" }, "0", bar, "1"));
  return [made];
}

// Where either run has more of its heat, red the first, blue the other.
function differenceSheet(record, map, theirs) {
  const alt = "Where the heat of " + visible(RUNS[0]) + " (red) and of " + visible(RUNS[1]) + " (blue) differs";
  const canvas = differenceCanvas(map[9], theirs[9], alt);
  if (!canvas) return [];
  const box = boxOf(record);
  if (!DATA.squashed) canvas.classList.add("square");
  box.append(canvas);
  const said = ["red ", bdi(visible(RUNS[0])), ", blue ", bdi(visible(RUNS[1]))];
  return [sheet("Difference", box, said)];
}

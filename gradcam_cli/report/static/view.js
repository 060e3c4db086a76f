// ---- one picture at full size, with all that is known of it

const view = { place: null, map: 0 };

function open(place) {
  const dialog = $("view");
  view.place = place;
  const record = RECORDS[place];
  view.map = Math.max(0, maps(record).indexOf(shownMap(record)));
  dialog.hidden = false;
  drawView();
  if (!dialog.open) dialog.showModal();
  dialog.focus();
  dialog.scrollTop = 0;
}

function drawView() {
  const record = RECORDS[view.place];
  const dialog = $("view");
  const focused = dialog.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  dialog.replaceChildren(
    viewHead(record),
    element("div", { class: "sheets" }, ...sheets(record)),
    element("div", { class: "below" }, ...below(record)),
  );
  const again = focused && dialog.querySelector('[data-key="' + focused + '"]');
  if (again && !again.disabled) again.focus();
  else dialog.focus();
}

function viewHead(record) {
  const [spot, list] = spotOf(view.place);
  const step = (by, label, sign) =>
    button(sign, () => turn(by), { "aria-label": label, title: label, "data-key": label, disabled: !(spot + by in list) });
  return element(
    "div",
    { class: "viewhead" },
    step(-1, "Previous picture", "\u2190"),
    step(1, "Next picture", "\u2192"),
    element("h2", { id: "viewname", title: source(record) }, basename(record)),
    element("span", { class: "faint", role: "status" }, count(spot + 1) + " of " + count(list.length)),
    button("Copy link", (event) => copy(location.href, event.target), { class: "plain", "data-key": "link" }),
    button("\u2715", () => $("view").close(), { "aria-label": "Close", title: "Close", "data-key": "close" }),
  );
}

// Where a picture stands in the gallery, or in the whole list, where it is filtered out.
function spotOf(place) {
  const spot = gallery.places.indexOf(place);
  return spot < 0 ? [place, RECORDS.map((_, each) => each)] : [spot, gallery.places];
}

function turn(by) {
  const [spot, list] = spotOf(view.place);
  if (spot + by in list) go(linkOf(RECORDS[list[spot + by]]), true);
}

// ---- picture, overlay and bare heat side by side

function sheets(record) {
  if (failure(record)) {
    const [kind, message] = failure(record).map(visible);
    return [element("p", { class: "notice bad" }, "Failed (" + (kind || "unknown") + "): " + message)];
  }
  const map = maps(record)[view.map] || null;
  const made = [sheet("Picture", pictureSheet(record, map), peakSaid(map))];
  if (map) {
    const over = sheet(RUNS ? visible(RUNS[0]) : "Overlay", overlaySheet(record, map, DATA.base), NAMES[map[0]]);
    if (over.querySelector(".under")) over.querySelector("figcaption").append(overlaySlider());
    made.push(over);
  }
  const theirs = RUNS && counterpart(record, map);
  if (theirs) made.push(sheet(visible(RUNS[1]), overlaySheet(record, theirs, DATA.otherBase), NAMES[theirs[0]]));
  if (map && !RUNS) made.push(...heatSheet(record, map, "Heat"));
  if (RUNS && map) made.push(...heatSheet(record, map, "Heat, " + visible(RUNS[0])));
  if (theirs) made.push(...heatSheet(record, theirs, "Heat, " + visible(RUNS[1])));
  if (map && theirs) made.push(...differenceSheet(record, map, theirs));
  return made;
}

function sheet(title, inside, caption) {
  const words = element("figcaption", {}, element("strong", {}, title), caption ? " " + caption : "");
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
    if (!box.querySelector("img, .absent")) box.append(element("p", { class: "absent" }, words));
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
  box.append(image(overlayOf(map, true, base), alt, absentIn(box, "the heatmap is not in the folder"), "over"));
  if (isEmpty(map)) box.append(element("p", { class: "absent" }, emptySaid(map)));
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
  const said = "red " + visible(RUNS[0]) + ", blue " + visible(RUNS[1]);
  return [sheet("Difference", box, said)];
}

// ---- under them: predictions, maps, facts

function below(record) {
  const made = [];
  if (CHECKS) made.push(judged(record));
  if (predictions(record).length) made.push(block(RUNS && CHECKS ? visible(RUNS[0]) : "Predictions", ranking(predictions(record), record)));
  const theirs = other(record);
  if (theirs && (theirs[0] || []).length) made.push(block(visible(RUNS[1]), ranking(theirs[0], record)));
  if (maps(record).length > 1) made.push(block("Maps", strip(record)));
  made.push(block("Record", facts(record), settingsOf()));
  return made;
}

function block(title, ...inside) {
  return element("section", {}, element("h3", {}, title), ...inside);
}

// The reasons of a check, and every number beside its limit, those of the shown map's class first.
function judged(record) {
  const [word, fine, beyond, , , numbers] = checked(record);
  const title = [visible(word), timesLimit(beyond)].filter(Boolean).join(" \u00b7 ");
  const made = block(title, element("ul", { class: "plainlist" }, ...reasons(record).map((why) => element("li", {}, why))));
  made.classList.add("judged");
  made.querySelector("h3").classList.add(fine ? "good" : "bad");
  if (!numbers.length) return made;
  const map = maps(record)[view.map];
  const own = (row) => (map && row[0] === map[0] ? 0 : 1);
  const sorted = [...numbers].sort((one, two) => own(one) - own(two));
  const cell = (value) => element("td", { class: "number" }, typeof value === "number" ? decimal(value, 4) : "");
  const line = ([which, name, value, limit, times]) =>
    element(
      "tr",
      { class: times > 1 ? "bad" : null },
      element("td", {}, NAMES[which]),
      element("td", {}, visible(name)),
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
    element("span", { class: "label", title: IDS[row[0]] }, NAMES[row[0]], isTrue ? element("span", { class: "good" }, " \u2713 true class") : null),
    element(
      "span",
      { class: "number" },
      sure === null ? score : percent(sure, 1),
      sure !== null && typeof row[2] === "number" ? element("small", { title: "score" }, decimal(row[2], 2)) : null,
    ),
    sure === null ? null : meter(sure),
  );
}

function strip(record) {
  const made = maps(record).map((map, place) => {
    const picture = element("span", { class: "mini" });
    picture.append(image(overlayOf(map, false), "", (lost) => lost.remove()));
    const words = element("span", { class: "label" }, NAMES[map[0]]);
    const several = DATA.makers.length > 1 ? element("small", {}, makerName(maker(map))) : null;
    const number = typeof map[1] === "number" ? percent(map[1], 1) : "";
    const choose = () => {
      view.map = place;
      drawView();
    };
    const one = button("", choose, { "aria-pressed": String(place === view.map), "data-key": "map" + place });
    one.append(picture, words, element("small", {}, isEmpty(map) ? "empty" : number));
    if (several) one.append(several);
    return one;
  });
  return element("div", { class: "strip", role: "group", "aria-label": "Maps of this picture" }, ...made);
}

function facts(record) {
  const map = maps(record)[view.map];
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
  const rowsOf = known.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("dl", { class: "facts" }, ...rowsOf);
}

function settingsOf() {
  const commands = [...document.querySelectorAll("#about .command code")].map((code) => code.textContent);
  if (!commands.length) return null;
  const lines = commands.map((line) => element("code", {}, line));
  return element("details", {}, element("summary", {}, "Settings of the run"), element("div", { class: "command" }, ...lines));
}

function viewKeys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, summary")) return;
  if (event.key === "ArrowLeft") turn(-1);
  else if (event.key === "ArrowRight") turn(1);
  else return;
  event.preventDefault();
}

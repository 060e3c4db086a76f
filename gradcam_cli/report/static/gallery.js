// ---- the gallery: cards exist only while they are on the screen, or nearly

const GAP = 14;
const AHEAD = 1; // screens above and below that have cards already

const gallery = {
  places: [],
  cards: new Map(),
  maker: 0,
  columns: 1,
  width: 0,
  row: 0,
  tallest: 15e6, // pixels; browsers cannot make a page much taller
};

function textHeight() {
  return 56 + (TRUTHS ? 19 : 0) + (RUNS ? 30 : 0) + (CHECKS ? 38 : 0);
}

function layOut() {
  const box = $("gallery");
  const room = box.clientWidth;
  const least = (room < 600 ? 150 : room < 1500 ? 228 : 264) * (RUNS ? 1.55 : 1);
  gallery.columns = Math.max(1, Math.floor((room + GAP) / (least + GAP)));
  gallery.width = (room - GAP * (gallery.columns - 1)) / gallery.columns;
  const frame = RUNS ? ((gallery.width - 2) / 2) * 0.95 : gallery.width * 0.75;
  gallery.row = Math.round(frame + textHeight()) + GAP;
  box.style.setProperty("--frame", frame + "px");
  box.style.setProperty("--card", gallery.width + "px");
  box.style.height = Math.min(gallery.tallest, rows() * gallery.row) + "px";
}

const rows = () => Math.ceil(gallery.places.length / gallery.columns);

// Where the visible part begins, in pixels of a page that is as tall as it would have to be.
function scrolled() {
  const box = $("gallery").getBoundingClientRect();
  const whole = rows() * gallery.row;
  const seen = Math.max(0, -box.top);
  if (whole <= gallery.tallest) return { at: seen, shift: 0 };
  const screen = window.innerHeight;
  const share = Math.min(1, seen / Math.max(1, gallery.tallest - screen));
  const at = share * (whole - screen);
  return { at: at, shift: at - seen };
}

function paint() {
  const { at, shift } = scrolled();
  const screen = window.innerHeight;
  const from = Math.max(0, Math.floor((at - AHEAD * screen) / gallery.row)) * gallery.columns;
  const to = Math.ceil((at + (1 + AHEAD) * screen) / gallery.row) * gallery.columns;
  const wanted = new Set();
  for (let spot = from; spot < Math.min(to, gallery.places.length); spot += 1) wanted.add(spot);
  for (const [spot, made] of gallery.cards) {
    if (wanted.has(spot) || made.contains(document.activeElement)) continue;
    made.remove();
    gallery.cards.delete(spot);
  }
  for (const spot of wanted) {
    if (gallery.cards.has(spot)) continue;
    const next = [...gallery.cards.keys()].filter((there) => there > spot);
    const made = card(gallery.places[spot], spot);
    // In the order of the list, which is the order of the tabulator.
    $("gallery").insertBefore(made, next.length ? gallery.cards.get(Math.min(...next)) : null);
    gallery.cards.set(spot, made);
  }
  for (const [spot, made] of gallery.cards) {
    const x = (spot % gallery.columns) * (gallery.width + GAP);
    const y = Math.floor(spot / gallery.columns) * gallery.row - shift;
    made.style.transform = "translate(" + x + "px, " + y + "px)";
  }
}

function showGallery(places) {
  gallery.places = places;
  for (const made of gallery.cards.values()) made.remove();
  gallery.cards.clear();
  layOut();
  paint();
}

// ---- one card

// The map that a card shows: the first by the chosen method and layer.
function shownMap(record) {
  return maps(record).find((map) => maker(map) === gallery.maker) || maps(record)[0] || null;
}

function card(place, spot) {
  const record = RECORDS[place];
  const map = shownMap(record);
  const link = element("a", { class: "open", href: linkOf(record), "aria-label": described(record, map) });
  const made = element(
    "div",
    { class: "card", role: "listitem", "aria-setsize": gallery.places.length, "aria-posinset": spot + 1 },
    element("div", { class: "frames" }, ...(RUNS ? pair(record, map) : [frame(record, map)]), link),
    said(record),
  );
  made.dataset.spot = spot;
  return made;
}

function described(record, map) {
  const row = first(record);
  const answer = failure(record) ? "failed" : row ? NAMES[row[0]] + sureness(row) : "no prediction";
  const heat = map && !isEmpty(map) ? ", heatmap for " + NAMES[map[0]] : "";
  return basename(record) + ": " + answer + heat;
}

const sureness = (row) => (probability(row) === null ? "" : ", " + percent(probability(row)));

function frame(record, map, base = DATA.base) {
  const made = element("div", { class: "frame" });
  const under = imageOf(record, false);
  const over = map ? overlayOf(map, false, base) : [];
  if (under.length) made.append(image(under, "", (lost) => lost.remove(), "under"));
  if (over.length && !(map && isEmpty(map) && under.length)) {
    const gone = (lost) => lost.replaceWith(element("p", { class: "absent" }, "the heatmap is not in the folder"));
    made.append(image(over, "", gone, "over"));
  }
  if (!made.children.length || (map && isEmpty(map))) made.append(element("p", { class: "absent" }, absence(record, map)));
  made.classList.toggle("alone", !under.length);
  if (under.length && over.length && !isEmpty(map)) made.append(wipe(made, record));
  return made;
}

function absence(record, map) {
  if (failure(record)) return "failed: " + (visible(failure(record)[0]) || "unknown");
  if (map && isEmpty(map)) return "empty map: " + (visible(DATA.reasons[map[4]][0]) || "unknown");
  return map ? "the heatmap is not in the folder" : "no heatmap";
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
function counterpart(record, map) {
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
      : element("div", { class: "frame" }, element("p", { class: "absent" }, "not in " + visible(RUNS[1]))),
  ];
}

function named(made, run) {
  made.append(element("span", { class: "run", "aria-hidden": "true" }, visible(run)));
  return made;
}

function said(record) {
  const made = element("div", { class: "said" });
  if (failure(record)) made.append(element("p", { class: "answer bad" }, visible(failure(record)[1]) || "failed"));
  else if (RUNS) made.append(answer(first(record)), answer(((other(record) || [])[0] || [])[0] || null));
  else made.append(answer(first(record)));
  if (TRUTHS && !failure(record)) made.append(verdict(record));
  if (CHECKS) made.append(...outcome(record));
  const facts = [element("span", { class: "name", title: source(record) }, basename(record))];
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
    element("p", { class: "verdict faint", title: why.join("\n") }, why.join("; ") || "\u00a0"),
  ];
}

function answer(row) {
  if (!row) return element("p", { class: "answer" }, element("span", { class: "label faint" }, "no prediction"));
  const sure = probability(row);
  const number = sure === null ? (typeof row[2] === "number" ? decimal(row[2], 2) : "") : percent(sure);
  const made = element(
    "p",
    { class: "answer", title: IDS[row[0]] },
    element("span", { class: "label" }, NAMES[row[0]]),
    element("span", { class: "number" }, number),
  );
  if (sure !== null) made.append(meter(sure));
  return made;
}

function meter(share) {
  const fill = element("span", {});
  fill.style.width = 100 * Math.min(1, Math.max(0, share)) + "%";
  return element("span", { class: "meter", "aria-hidden": "true" }, fill);
}

function verdict(record) {
  const known = right(record);
  if (known === null) return element("p", { class: "verdict faint" }, "true class not known");
  if (known) return element("p", { class: "verdict good" }, "\u2713 right");
  return element("p", { class: "verdict bad" }, "\u2717 is " + TRUE_NAMES[truth(record)]);
}

// ---- the keyboard goes from card to card

function focusSpot(spot) {
  if (spot < 0 || spot >= gallery.places.length) return;
  const top = window.scrollY + $("gallery").getBoundingClientRect().top;
  const line = Math.floor(spot / gallery.columns);
  const whole = rows() * gallery.row;
  const y = whole <= gallery.tallest ? line * gallery.row : (line * gallery.row * gallery.tallest) / whole;
  const bar = $("filters").getBoundingClientRect().height;
  const [seen, below] = [window.scrollY + bar, window.scrollY + window.innerHeight - gallery.row];
  if (top + y < seen || top + y > below) window.scrollTo({ top: Math.max(0, top + y - bar - GAP) });
  paint();
  const made = gallery.cards.get(spot);
  if (made) made.querySelector("a").focus({ preventScroll: true });
}

function walking(event) {
  const made = event.target.closest(".card");
  if (!made || !event.target.matches("a") || event.altKey || event.ctrlKey || event.metaKey) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -gallery.columns, ArrowDown: gallery.columns }[event.key];
  if (!step) return;
  event.preventDefault();
  focusSpot(Number(made.dataset.spot) + step);
}

// ---- which pictures, in which order; what is asked for stands in the address, to be linked

const SHOWN = {
  "": ["all", () => true],
  right: ["right", (record) => right(record) === true],
  wrong: ["wrong", (record) => right(record) === false],
  differ: ["answered otherwise", differs],
  failed: ["failed", (record) => Boolean(failure(record))],
  empty: ["with an empty map", (record) => maps(record).some(isEmpty)],
  warned: ["with a warning", (record) => Boolean(warning(record))],
  ...Object.fromEntries(
    ["changed", "beyond", "missing", "new", "allowed", "same", "within"].map((word) => [
      word,
      [{ beyond: "beyond a limit", within: "within the limits" }[word] || word, (record) => Boolean(checked(record)) && checked(record)[0] === word],
    ]),
  ),
};

// Each order: what it is called, the number it goes by, and whether the largest comes first.
const SORTS = {
  "": [CHECKS ? "worst first" : "as listed", null, false],
  ...(RUNS ? { apart: ["maps furthest apart", apart, true], alike: ["maps most alike", apart, false] } : {}),
  least: ["least confident", confidence, false],
  surest: ["most confident", confidence, true],
  narrow: ["narrowest margin", margin, false],
  wide: ["widest margin", margin, true],
  border: ["most heat in the border", inBorder, true],
  name: ["file name", null, false],
};

const VIEWS = ["pictures", "classes", "about", ...(TRUTHS ? ["confusion"] : [])];
const START = { view: "pictures", q: "", show: "", class: "", truth: "", from: 0, to: 1, sort: RUNS && !CHECKS ? "apart" : "", maker: "" };

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
function chosen(state, confident = true) {
  const [, shown] = SHOWN[state.show];
  const named = state.q ? matching(state.q) : null;
  const index = state.class === "" ? null : Number(state.class);
  const label = state.truth === "" ? null : Number(state.truth);
  const ranged = confident && (state.from > 0 || state.to < 1);
  const places = [];
  for (let place = 0; place < RECORDS.length; place += 1) {
    const record = RECORDS[place];
    if (!shown(record) || (named && !named(record, place))) continue;
    if (index !== null && !(first(record) && DATA.classes[first(record)[0]][0] === index)) continue;
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

function ordered(places, sort) {
  if (sort === "name") {
    ranks = ranks || ranksByName();
    return [...places].sort((a, b) => ranks[a] - ranks[b]);
  }
  const [, number, down] = SORTS[sort];
  if (!number) return places;
  const known = [];
  const unknown = [];
  for (const place of places) {
    const value = number(RECORDS[place]);
    if (value === null) unknown.push(place);
    else known.push([value, place]);
  }
  known.sort(([a, x], [b, y]) => (down ? b - a : a - b) || x - y);
  return [...known.map(([, place]) => place), ...unknown];
}

// ---- the address: #?words for a list of pictures, #source for one of them

const linkOf = (record) => "#" + encodeURIComponent(source(record)).replaceAll("%2F", "/");

let placesBySource = null;

function placeIn(hash) {
  placesBySource = placesBySource || new Map(RECORDS.map((record, place) => [source(record), place]).reverse());
  try {
    return placesBySource.get(decodeURIComponent(hash.slice(1))) ?? null;
  } catch {
    return null;
  }
}

function stateIn(hash) {
  const words = new URLSearchParams(hash.slice(2));
  const among = (key, known) => (known.includes(words.get(key)) ? words.get(key) : START[key]);
  const whole = (key) => (/^-?\d{1,15}$/.test(words.get(key) || "") ? words.get(key) : "");
  const share = (key) => {
    const value = words.has(key) ? Number(words.get(key)) : NaN;
    return value >= 0 && value <= 1 ? value : START[key];
  };
  const label = whole("truth");
  const makerNumber = whole("maker");
  return {
    view: among("view", VIEWS),
    q: words.get("q") || "",
    show: among("show", Object.keys(SHOWN)),
    sort: among("sort", Object.keys(SORTS)),
    class: whole("class"),
    truth: TRUTHS && label in TRUTHS ? label : "",
    from: share("from"),
    to: share("to"),
    maker: makerNumber in DATA.makers ? makerNumber : "",
  };
}

function hashOf(state) {
  const words = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) if (value !== START[key]) words.set(key, value);
  return "#?" + words.toString();
}

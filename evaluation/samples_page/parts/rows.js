"use strict";
// Which rows are shown, and in which order. Nothing here touches the page.

// What a run says of a row: right, wrong, unknown, or missing from this run.
function outcomeOf(completion) {
  if (!completion) return "missing";
  return completion.correct === null ? "unknown" : completion.correct ? "right" : "wrong";
}

// The outcomes that can be chosen: [value, label, test of the outcomes of the runs].
function outcomeChoices(runs) {
  const one = [
    ["", "all", () => true],
    ["right", "right", (of) => of[0] === "right"],
    ["wrong", "wrong", (of) => of[0] === "wrong"],
    ["unknown", "unknown", (of) => of[0] === "unknown"],
  ];
  if (runs.length === 1) return one;
  return [
    one[0],
    ["differ", "different in the two", (of) => of[0] !== of[1]],
    ["first", `right in ${runs[0]} only`, (of) => of[0] === "right" && of[1] !== "right"],
    ["second", `right in ${runs[1]} only`, (of) => of[1] === "right" && of[0] !== "right"],
    ["both", "right in both", (of) => of.every((each) => each === "right")],
    ["neither", "wrong in both", (of) => of.every((each) => each === "wrong")],
    ["unknown", "unknown in one", (of) => of.includes("unknown")],
    ["missing", "in one run only", (of) => of.includes("missing")],
  ];
}

const ORDERS = [
  ["", "as in the file", null],
  ["long", "longest first", (a, b) => tokensOf(b) - tokensOf(a)],
  ["short", "shortest first", (a, b) => tokensOf(a) - tokensOf(b)],
  ["claims", "most unsupported claims", (a, b) => unsupportedOf(b) - unsupportedOf(a)],
];

function given(row) { return row.runs.filter(Boolean); }
function tokensOf(row) { return Math.max(...given(row).map((each) => each.tokens === null ? -1 : each.tokens)); }
function unsupportedOf(row) { return Math.max(...given(row).map((each) => each.claims[1])); }
function textOf(completion) { return completion.pieces.map((piece) => piece[0]).join(""); }

function judgesDisagree(completion) {
  const said = Object.values(completion.verdicts).filter((verdict) => verdict !== null);
  return new Set(said).size > 1;
}

// Everything that a search looks through, in lower case; made once for each row.
function searchable(row) {
  return row.found ??= [row.question, row.answer ?? "", row.uid, ...given(row).map(textOf)].join("\n").toLowerCase();
}

function shownRows(data, filter) {
  const isOutcome = (outcomeChoices(data.runs).find((choice) => choice[0] === filter.outcome) ?? [0, 0, () => true])[2];
  const words = filter.search.toLowerCase().trim();
  const rows = data.rows.filter((row) =>
    (!filter.benchmark || row.benchmark === filter.benchmark)
    && (!filter.category || row.category === filter.category)
    && isOutcome(row.runs.map(outcomeOf))
    && (!filter.reason || given(row).some((each) => each.reason === filter.reason))
    && (filter.least === "" || given(row).some((each) => each.tokens !== null && each.tokens >= Number(filter.least)))
    && (filter.most === "" || given(row).some((each) => each.tokens !== null && each.tokens <= Number(filter.most)))
    && (!filter.unsupported || unsupportedOf(row) > 0)
    && (!filter.disagree || given(row).some(judgesDisagree))
    && (!words || searchable(row).includes(words)));
  const order = (ORDERS.find((each) => each[0] === filter.order) ?? ORDERS[0])[2];
  return order ? rows.sort(order) : rows;
}

// How many rows have each value, the most frequent first: [value, number].
function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

function outcomeCounts(rows, run) {
  const counts = {right: 0, wrong: 0, unknown: 0, missing: 0};
  for (const row of rows) counts[outcomeOf(row.runs[run])] += 1;
  return counts;
}

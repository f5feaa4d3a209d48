// Draws the page. Texts of samples only ever become text nodes, never HTML.
const DATA = JSON.parse(document.getElementById("data").textContent);
const ROW_HEIGHT = 68; // as in the style sheet
const SIGNS = {right: "✓", wrong: "✗", unknown: "?", missing: "–"};
const FIELDS = ["benchmark", "category", "outcome", "reason", "least", "most", "order", "search"];
const CHECKS = ["unsupported", "disagree"];
const at = (id) => document.getElementById(id);
let rows = DATA.rows;
let chosen = 0;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function mark(outcome, run) {
  const title = DATA.runs.length > 1 ? `${DATA.runs[run]}: ${outcome}` : outcome;
  return element("span", {className: `mark ${outcome}`, title, ariaLabel: title}, SIGNS[outcome]);
}

function options(select, choices, kept) {
  select.replaceChildren(...choices.map(([value, label]) => element("option", {value}, label)));
  select.value = choices.some(([value]) => value === kept) ? kept : "";
}

function withCounts(all, values) {
  return [["", all], ...counted(values.filter(Boolean)).map(([value, number]) => [value, `${value} (${number})`])];
}

function filter() {
  const values = Object.fromEntries(FIELDS.map((id) => [id, at(id).value]));
  return {...values, ...Object.fromEntries(CHECKS.map((id) => [id, at(id).checked]))};
}

function fillChoices(kept = {}) {
  options(at("benchmark"), withCounts("all", DATA.rows.map((row) => row.benchmark)), kept.benchmark);
  options(at("outcome"), outcomeChoices(DATA.runs), kept.outcome);
  options(at("order"), ORDERS, kept.order);
  fillDependent(kept.category, kept.reason);
}

// Categories and reasons of the chosen benchmark.
function fillDependent(category, reason) {
  const inside = DATA.rows.filter((row) => !at("benchmark").value || row.benchmark === at("benchmark").value);
  options(at("category"), withCounts("all", inside.map((row) => row.category)), category);
  const reasons = inside.flatMap((row) => [...new Set(given(row).map((each) => each.reason))]);
  options(at("reason"), withCounts("all", reasons), reason);
}

function update(keep = false) {
  const before = rows[chosen];
  rows = shownRows(DATA, filter());
  chosen = keep ? Math.min(chosen, Math.max(rows.length - 1, 0)) : Math.max(rows.indexOf(before), 0);
  at("space").style.height = `${rows.length * ROW_HEIGHT}px`;
  drawSummary();
  at("list").scrollTop = Math.max(0, chosen * ROW_HEIGHT - at("list").clientHeight / 2);
  drawRows();
  drawDetail();
  remember();
}

function drawSummary() {
  const total = element("span", {}, element("b", {}, String(rows.length)), ` of ${DATA.rows.length}`);
  at("summary").replaceChildren(total, ...DATA.runs.map((name, run) => {
    const counts = outcomeCounts(rows, run);
    const judged = counts.right + counts.wrong;
    const all = judged + counts.unknown;
    const bar = element("span", {className: "bar", title: JSON.stringify(counts)},
      ...["right", "wrong", "unknown"].map((outcome) => {
        const part = element("span", {className: outcome});
        part.style.width = `${all ? 100 * counts[outcome] / all : 0}%`;
        return part;
      }));
    const share = judged ? `${(100 * counts.right / judged).toFixed(1)} % right` : "none judged";
    const unknown = counts.unknown ? `, ${counts.unknown} unknown` : "";
    const missing = counts.missing ? `, ${counts.missing} not in it` : "";
    return element("span", {}, element("b", {}, name), bar, `${share}${unknown}${missing}`);
  }));
}

// Only the rows in view are in the document.
function drawRows() {
  const list = at("list");
  const first = Math.max(0, Math.floor(list.scrollTop / ROW_HEIGHT) - 4);
  const last = Math.min(rows.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW_HEIGHT) + 4);
  at("rows").style.top = `${first * ROW_HEIGHT}px`;
  const drawn = rows.slice(first, last).map((row, index) => rowElement(row, first + index));
  at("rows").replaceChildren(...(rows.length ? drawn : [element("p", {className: "nothing"}, "No sample fits the filters.")]));
}

function rowElement(row, index) {
  const thumb = element("div", {className: "thumb"});
  if (row.pictures.length) thumb.append(element("img", {src: row.pictures[0], alt: "", loading: "lazy"}));
  else thumb.append("text");
  const one = given(row)[0];
  const about = [row.benchmark, row.category, (given(row).map((each) => each.reason).find(Boolean) ?? "").replaceAll("_", " "),
    one.tokens === null ? "" : `${one.tokens} tokens`].filter(Boolean).join(" · ");
  const text = textOf(one).trim().replace(/\s+/g, " ");
  // The end holds the answer.
  const end = text.length > 42 ? `… ${text.slice(-40)}` : text;
  const lines = element("div", {className: "lines"}, element("div", {}, row.question.replace(/\s+/g, " ")),
    element("div", {className: "small"}, end), element("div", {className: "small"}, about));
  const marks = element("div", {className: "marks"}, ...row.runs.map((each, run) => mark(outcomeOf(each), run)));
  const made = element("div", {className: index === chosen ? "row chosen" : "row", role: "option",
    ariaSelected: String(index === chosen)}, thumb, lines, marks);
  made.addEventListener("click", () => choose(index));
  return made;
}

function drawDetail() {
  const row = rows[chosen];
  if (!row) return at("detail").replaceChildren();
  const pictures = element("div", {className: "pictures"}, ...row.pictures.map((src, number) => {
    const picture = element("img", {src, alt: `picture ${number + 1}: ${src}`});
    // Few pixels are shown larger and as such, and not as a blur.
    picture.addEventListener("load", () => picture.classList.toggle("few-pixels", picture.naturalWidth < 150));
    return element("a", {href: src, target: "_blank"}, picture);
  }));
  const place = [row.benchmark, row.category, row.uid, row.number ? `completion ${row.number + 1}` : ""];
  at("detail").replaceChildren(
    element("div", {className: "small"}, place.filter(Boolean).join(" · ")), pictures,
    element("h2", {}, "question"), element("div", {className: "text"}, row.question),
    element("h2", {}, "answer"), element("div", {className: "text"}, row.answer ?? "not known"),
    element("div", {className: "completions"}, ...row.runs.map(completionElement)));
  at("detail").scrollTop = 0;
}

function completionElement(completion, run) {
  const outcome = outcomeOf(completion);
  const head = element("div", {className: "head"}, mark(outcome, run));
  if (DATA.runs.length > 1) head.append(element("b", {}, DATA.runs[run]));
  if (!completion) {
    head.append(element("span", {className: "small"}, "not in this run"));
    return element("article", {className: "completion"}, head);
  }
  const [supported, unsupported] = completion.claims;
  const facts = [completion.reason.replaceAll("_", " ") || outcome,
    completion.tokens === null ? "" : `${completion.tokens} tokens`,
    supported + unsupported ? `${unsupported} of ${supported + unsupported} claims unsupported` : ""];
  head.append(...facts.filter(Boolean).map((fact) => element("span", {className: "small"}, fact)));
  const verdicts = Object.entries(completion.verdicts);
  if (verdicts.length > 1) {
    const said = verdicts.map(([judge, verdict]) => `${judge}: ${verdict === null ? "unknown" : verdict ? "right" : "wrong"}`);
    head.append(element("span", {className: "small"}, said.join(", ")));
  }
  const text = element("div", {className: "text"}, ...completion.pieces.map(([piece, kind]) =>
    kind < 0 ? piece : element("span", {className: kind ? "claim supported" : "claim unsupported"}, piece)));
  if (!completion.pieces.length) text.append(element("span", {className: "small"}, "(empty)"));
  return element("article", {className: "completion"}, head, text);
}

function choose(index) {
  chosen = Math.min(Math.max(index, 0), rows.length - 1);
  const list = at("list");
  const top = chosen * ROW_HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  if (top + ROW_HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + ROW_HEIGHT - list.clientHeight;
  drawRows();
  drawDetail();
  remember();
}

// The address holds the filters and the sample, so that it can be given to somebody.
function remember() {
  const values = Object.entries(filter()).filter(([, value]) => value);
  history.replaceState(null, "", `#${new URLSearchParams([...values, ["row", String(chosen)]])}`);
}

function nameMarks() {
  if (DATA.runs.length > 1) at("marks").textContent = `left mark: ${DATA.runs[0]}, right mark: ${DATA.runs[1]}`;
}

function recall() {
  const kept = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  fillChoices(kept);
  for (const id of ["least", "most", "search"]) at(id).value = kept[id] ?? "";
  for (const id of CHECKS) at(id).checked = kept[id] === "true";
  fillDependent(kept.category, kept.reason);
  chosen = Number(kept.row) || 0;
  update(true);
}

let waiting = 0;
at("filters").addEventListener("input", (event) => {
  if (event.target.id === "benchmark") fillDependent(at("category").value, at("reason").value);
  clearTimeout(waiting);
  waiting = setTimeout(update, event.target.id === "search" ? 120 : 0);
});
at("filters").addEventListener("submit", (event) => event.preventDefault());
at("filters").addEventListener("reset", () => setTimeout(() => { fillChoices(); update(); }));
at("list").addEventListener("scroll", () => requestAnimationFrame(drawRows));
addEventListener("resize", drawRows);
addEventListener("keydown", (event) => {
  if (["INPUT", "SELECT"].includes(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey) return;
  const step = {ArrowDown: 1, j: 1, ArrowUp: -1, k: -1}[event.key];
  if (step) { event.preventDefault(); choose(chosen + step); }
});
nameMarks();
recall();

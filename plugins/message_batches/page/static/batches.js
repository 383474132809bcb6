// The Batches page: asks for the data every few seconds and shows it.
import { count, el, now, plural, setNow, span } from "./format.js";
import { drawRun, explainEmpty, listQuestions, pager, summarize } from "./sections.js";

const POLL_MS = 5000;
const STALE_MS = 20000;
const TIMEOUT_MS = 15000;
const MAX_OPENED = 20;
const $ = (id) => document.getElementById(id);
const params = new URLSearchParams(location.search);
const opened = new Map();   // run token -> page of its batches
const closed = new Set();   // runs that the user has closed
const drawn = new Map();    // section -> what it was drawn from
let data = null;
let trouble = "";
let asking = false;
let again = false;
let timer = 0;

// ---- drawing ------------------------------------------------------------------------------------------
// A section is drawn again only when what it shows has changed, so that a selection or the focus stays.
const draw = (id, source, make) => {
  const key = JSON.stringify(source);
  if (drawn.get(id) === key) return;
  drawn.set(id, key);
  const focus = document.activeElement?.id;
  $(id).replaceChildren(...[make()].flat().filter(Boolean));
  if (focus && document.activeElement?.id !== focus) $(focus)?.focus({ preventScroll: true });
};

const view = {
  isOpen: (token) => opened.has(token),
  toggle: (token) => {
    if (opened.delete(token)) closed.add(token);
    else opened.set(token, 1);
    render();
    ask();
  },
  turn: (token, page) => {
    opened.set(token, page);
    ask();
  },
};

const drawRuns = () => draw("runs", [data.runs, data.empty, [...opened]], () =>
  data.runs.length ? data.runs.map((run) => drawRun(run, view)) : explainEmpty(data, params));

const drawPages = () => draw("pages", [data.page, data.pages, data.totals.runs, data.left_out], () => [
  data.pages > 1 && pager(data.page, data.pages, plural(data.totals.runs, "run"), "pages", (page) => {
    params.set("page", page);
    location.assign(`batches?${params}`);
  }),
  data.left_out > 0 && el("p", { class: "faint" }, `${count(data.left_out)} older ledger entries are not shown.`),
]);

const drawFilters = () => draw("chosen", [data.pipelines, data.days], () => {
  for (const [name, values] of [["pipeline", data.pipelines], ["day", data.days]]) {
    const chosen = params.get(name) || "";
    const all = chosen && !values.includes(chosen) ? [chosen, ...values] : values;
    $(name).replaceChildren(el("option", { value: "" }, "all"), ...all.map((value) => el("option", { value }, value)));
    $(name).value = chosen;
  }
  const chips = [["dag_id", "DAG"], ["run", "run"]].filter(([name]) => params.get(name))
    .map(([name, label]) => [el("span", { class: "tag" }, `${label} ${params.get(name)}`),
      el("input", { type: "hidden", name, value: params.get(name) })]);
  $("clear").hidden = !["pipeline", "day", "dag_id", "run"].some((name) => params.get(name));
  return chips.flat();
});

const drawLive = () => {
  const node = $("live");
  const silent = data ? (now() - data.looked_at) * 1000 : 0;
  const stale = data !== null && (trouble || silent > STALE_MS);
  node.className = `live ${trouble ? "away" : stale ? "stale" : data ? "fresh" : ""}`;
  const text = !data ? (trouble ? "No data" : "Loading…")
    : stale ? `Data is ${span(silent / 1000)} old` : "Live";
  if ($("live-text").textContent !== text) $("live-text").textContent = text;
  $("trouble").hidden = !trouble;
  if (trouble && $("trouble").textContent !== trouble) $("trouble").textContent = trouble;
  document.body.classList.toggle("is-stale", Boolean(stale));
};

const render = () => {
  if (data) {
    drawFilters();
    draw("summary", [data.totals, data.empty, data.question_count], () => summarize(data));
    draw("questions", [data.questions, data.question_count], () => listQuestions(data));
    drawRuns();
    drawPages();
  }
  drawLive();
};

// ---- asking -------------------------------------------------------------------------------------------
const openWhatMatters = () => {
  const active = data.runs.filter((run) => run.pipeline && (run.needs_person || run.status === "running") && run.batches > 0);
  const wanted = data.runs.length === 1 ? data.runs : active.length ? active.slice(0, 1) : [];
  const fresh = wanted.filter((run) => !opened.has(run.token) && !closed.has(run.token));
  if (opened.size === 0 || data.runs.length === 1) for (const run of fresh) opened.set(run.token, 1);
  return fresh.some((run) => opened.has(run.token) && !run.rows);
};

const explain = (status, detail) => {
  if (status === 401) return "Your login has ended: log in to Airflow again, then reload this page.";
  if (status === 403) return "Your user may not read these runs.";
  if (status === 503) return `${detail || "The data root cannot be read: the store does not answer"}. What is shown is the last that was seen.`;
  return `Airflow answered with status ${status}. What is shown is the last that was seen.`;
};

const load = async () => {
  const query = new URLSearchParams(params);
  for (const [token, page] of [...opened].slice(-MAX_OPENED)) query.append("opened", `${token}:${page}`);
  const answer = await fetch(`batches.json?${query}`, {
    headers: { Accept: "application/json" }, credentials: "same-origin", signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!answer.ok) {
    let detail = "";
    try { detail = String((await answer.json()).detail || ""); } catch { /* no JSON */ }
    trouble = explain(answer.status, detail);
    return;
  }
  data = await answer.json();
  setNow(data.now);
  trouble = "";
  again = openWhatMatters() || again;
};

const ask = async () => {
  clearTimeout(timer);
  if (asking) { again = true; return; }
  asking = true;
  try {
    await load();
  } catch {
    trouble = "Airflow does not answer. Asking again every few seconds; what is shown is the last that was seen.";
  }
  asking = false;
  render();
  const soon = again;
  again = false;
  if (!document.hidden) timer = setTimeout(ask, soon ? 0 : POLL_MS);
};

document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else ask(); });
setInterval(() => {
  if (document.hidden) return;
  if (data) for (const node of document.querySelectorAll("[data-ticks]")) node.write();
  drawLive();
}, 1000);
for (const name of ["pipeline", "day"]) {
  $(name).addEventListener("change", () => {
    for (const field of ["pipeline", "day"]) {
      if ($(field).value) params.set(field, $(field).value); else params.delete(field);
    }
    params.delete("page");
    location.assign(params.size ? `batches?${params}` : "batches"); // a real load, so that Airflow's address follows
  });
}
ask();

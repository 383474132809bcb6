// What the page is made of, from the data as it came.
import {
  LABEL, NEED, RUN_LABEL, STATES, age, badge, clock, cost, count, el, exact, now, plural, span, ticking, uiLink, usd,
} from "./format.js";

// ---- expected end -------------------------------------------------------------------------------------
const expectedEnd = (item) => {
  if (!item.expected_end) {
    return item.expires_at
      ? ticking("span", () => now() < item.expires_at
        ? `no history yet, by ${clock(item.expires_at)} at the latest` : "expired", { class: "faint" })
      : el("span", { class: "faint" }, "–");
  }
  const basis = item.basis
    ? `from ${plural(item.basis.batches, "earlier batch", "earlier batches")} alike in ${item.basis.alike}; `
      + `9 of 10 had ended by ${exact(item.late_at)}` : "";
  return ticking("span", () => {
    const left = item.expected_end - now();
    if (left > 0) return `${clock(item.expected_end)}, in ${span(left)}`;
    // Airflow asks the API now and then, and a worker must be free: a minute is not late.
    if (now() <= item.late_at + 60) return `any moment, due ${clock(item.expected_end)}`;
    return `late: usual end was ${clock(item.expected_end)}`;
  }, { title: basis, class: "expected" });
};

// ---- sections -----------------------------------------------------------------------------------------
const fact = (label, value, hint, kind = "") => el("div", { class: `fact ${kind}` },
  el("span", { class: "label" }, label), el("strong", {}, value), el("span", { class: "hint" }, hint));

export const summarize = (data) => {
  if (data.empty || !data.totals.runs) return [];
  const { states, batches, failed, cost_usd, cost_unknown, requests, runs, needing, running } = data.totals;
  const active = (states.submitted || 0) + (states.submitting || 0);
  const done = (states.ended || 0) + (states.collected || 0);
  const unsent = (states.intended || 0) + data.runs.reduce((sum, run) => sum + run.to_come, 0);
  const waiting = needing + (data.question_count > 0 && !needing ? 1 : 0);
  return [
    fact("Needs a person", count(waiting),
      waiting ? [data.question_count ? plural(data.question_count, "open question") : "", "look at the first runs below"]
        .filter(Boolean).join(", ") : "nothing waits for you", waiting ? "bad" : ""),
    fact("Running", plural(running, "run"),
      active ? `${plural(active, "batch", "batches")} in progress${unsent ? `, ${count(unsent)} not submitted yet` : ""}`
        : running ? "no batch in progress" : "nothing is running", running ? "busy" : ""),
    fact("Batches ended", `${count(done)} of ${count(batches)}`, `${plural(runs, "run")}, ${plural(requests, "request")}`),
    fact(active ? "Cost so far" : "Cost", cost(cost_usd, cost_unknown),
      cost_unknown ? `the cost of ${plural(cost_unknown, "batch", "batches")} is not known, or not in full`
        : active ? "of ended batches of these runs; the rest is counted when it ends" : "of the batches of these runs, at batch prices"),
    fact("Without an answer", count(failed), failed ? "by kind under each run" : "nothing failed", failed ? "bad" : ""),
  ];
};

export const listQuestions = (data) => {
  if (!data.questions.length) return [];
  const more = data.question_count - data.questions.length;
  return el("div", { class: "card questions" },
    el("h2", {}, plural(data.question_count, "open question")),
    el("p", { class: "hint" }, "A batch may exist, and be paid for, that nobody collects."),
    data.questions.slice(0, 3).map(drawQuestion),
    data.questions.length > 3 && el("details", {},
      el("summary", {}, `${count(data.questions.length - 3)} more`), data.questions.slice(3).map(drawQuestion)),
    more > 0 && el("p", {}, `… and ${count(more)} more: `, el("code", { class: "command" }, "nightpress ledger list --open")));
};

const drawQuestion = (question) => el("article", {},
  el("h3", {},
    el("code", {}, question.key), " ",
    question.damaged ? badge("question", "unreadable entry") : `${question.pipeline || "?"}, ${question.day || "?"}`,
    question.task ? [" · ", uiLink(question.task, "task")] : null),
  el("dl", {},
    el("dt", {}, "Seen"), el("dd", {}, question.seen),
    el("dt", {}, "By itself"), el("dd", {}, question.next),
    el("dt", {}, "You can"), el("dd", {}, question.options),
    el("dt", {}, "Type"), el("dd", {}, question.commands.map((line) => el("code", { class: "command" }, line)))));

const bar = (run) => {
  const parts = STATES.filter(([state]) => run.states[state]).reverse();
  const node = el("div", {
    class: "bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": run.batches + run.to_come, "aria-valuenow": run.done,
    "aria-label": "batches ended",
    title: parts.map(([state, label]) => `${count(run.states[state])} ${label}`).join(", "),
  });
  for (const [state] of parts) {
    const part = el("span", { class: state });
    part.style.flexGrow = run.states[state];
    node.append(part);
  }
  if (run.to_come) {
    const rest = el("span", { title: `${count(run.to_come)} to come` });
    rest.style.flexGrow = run.to_come;
    node.append(rest);
  }
  return node;
};

const runEnd = (run) => {
  if (run.status === "published" && run.published_at) {
    const note = run.articles === 0 ? ", without articles" : run.articles !== null && run.reused === run.articles
      ? ", all answers reused" : "";
    return el("span", { title: exact(run.published_at) }, `published ${clock(run.published_at)}${note}`);
  }
  if (run.status === "replaced") return el("span", {}, `replaced by run ${run.replaced_by}`);
  if (run.states.submitted) {
    return run.expected_end ? [el("span", { class: "faint" }, "expected end "), expectedEnd(run)]
      : el("span", { class: "faint" }, "no history yet: most batches end within 1 h, all within 24 h");
  }
  if (run.status === "running" && run.step) return el("span", {}, run.step);
  if (run.status === "stopped") return el("span", { class: "warn" }, "some shards were never submitted: open the run and look at its submit_batch tasks");
  if (run.step && !run.needs_person) return el("span", {}, run.step);
  return run.last ? el("span", { title: exact(run.last) }, `last change ${clock(run.last)}`) : "";
};

const need = (run) => run.why || run.needs_person ? el("div", { class: `need ${run.needs_person ? "" : "settled"}` },
  el("p", {}, el("b", {}, run.settled ? "A later run of this day has begun. " : ""), NEED[run.status] || "",
    run.step && run.status !== "approval" ? ` It ${run.step}.` : ""),
  run.why && el("p", { class: "why" }, run.why),
  run.links.look && el("p", {}, uiLink(run.links.look, run.status === "approval" ? "Approve or reject" : "Open the task", { class: "button" }))) : null;

// `view` has `isOpen(token)`, `toggle(token)` and `turn(token, page)`.
export const drawRun = (run, view) => {
  const isOpen = view.isOpen(run.token);
  const active = ["running", "question", "approval"].includes(run.status);
  const chips = run.failures.slice(0, 4).map((failure) => {
    const repaired = failure.left === 0 || run.failed === 0;
    return el("span", { class: repaired ? "chip repaired" : "chip", title: repaired ? "answered in the second round" : "" },
      `${count(repaired || failure.left === null ? failure.requests : failure.left)} ${failure.kind}`);
  });
  return el("article", { class: `card run ${run.status}` },
    el("div", { class: "head" },
      run.batches === 0 ? el("span", { class: "toggle" }) : el("button", {
        id: `toggle-${run.token}`, class: "toggle", "aria-expanded": String(isOpen), "aria-controls": `rows-${run.token}`,
        title: isOpen ? "hide the batches" : "show the batches",
        onclick: () => view.toggle(run.token),
      }, isOpen ? "▾" : "▸"),
      el("div", { class: "name" },
        el("strong", {}, run.pipeline || "unreadable entries"), " ", el("span", {}, run.day),
        run.run && el("span", { class: "runid", title: run.run }, uiLink(run.links.run, run.run))),
      badge(run.status, RUN_LABEL[run.status]),
      run.offline && el("span", { class: "tag", title: "no model was called" }, "offline API"),
      el("nav", { class: "links" },
        run.links.run && uiLink(run.links.run, "Run"),
        run.links.plan && el("a", { href: run.links.plan }, "Plan"),
        run.links.report && el("a", { href: run.links.report, "data-airflow": true, target: "_blank" }, "Report"),
        run.links.parquet && el("a", { href: run.links.parquet, "data-airflow": true, target: "_blank" }, "Parquet"),
        run.links.csv && el("a", { href: run.links.csv, "data-airflow": true, target: "_blank" }, "CSV"),
        run.links.receipt && el("a", { href: run.links.receipt, "data-airflow": true, target: "_blank" }, "Receipt"))),
    need(run),
    run.batches + run.to_come > 0 && el("div", { class: "progress" }, bar(run),
      el("span", { class: "done" }, `${count(run.done)} of ${count(run.batches + run.to_come)} ended`)),
    el("div", { class: "numbers" },
      run.articles !== null && el("span", {}, el("span", { class: "faint" }, "articles "), count(run.articles)),
      run.reused ? el("span", {}, el("span", { class: "faint" }, "reused "), count(run.reused)) : null,
      run.requests > 0 && el("span", {}, el("span", { class: "faint" }, "requests "), count(run.requests)),
      (run.batches > 0 || run.plan) && el("span", {}, el("span", { class: "faint" }, active ? "cost so far " : "cost "), el("b", {}, cost(run.cost_usd, run.cost_unknown)),
        run.plan && run.plan.cost_expected_usd !== null
          ? el("span", { class: "faint" }, ` of about ${usd(run.plan.cost_expected_usd)} planned`,
            run.plan.cost_upper_usd !== null ? `, ${usd(run.plan.cost_upper_usd)} at most` : "") : null,
      ),
      active || !run.last || run.began === null
        ? el("span", {}, el("span", { class: "faint" }, "age "), age(run.began))
        : run.last > run.began && el("span", {}, el("span", { class: "faint" }, "took "), span(run.last - run.began)),
      el("span", {}, runEnd(run)),
      chips.length > 0 && el("span", { class: "chips" }, chips,
        run.answered_again > 0 && el("span", { class: "faint" },
          `${count(run.answered_again)} answered in the second round`))),
    isOpen && drawOpened(run, view));
};

const drawOpened = (run, view) => el("div", { class: "opened", id: `rows-${run.token}` },
  run.failures.length > 0 && el("section", { class: "failures" },
    el("h3", {}, "Failures by kind"),
    run.failures.map((failure) => el("div", { class: "failure" },
      el("p", {}, el("b", {}, `${count(failure.requests)} × ${failure.kind}`),
        ` in ${plural(failure.batches, "batch", "batches")}. `, el("span", { class: "hint" }, failure.advice)),
      failure.examples.length > 0 && el("ul", {}, failure.examples.map((example) =>
        el("li", {}, el("code", {}, example.article), example.message ? ` ${example.message}` : "")))))),
  run.rows ? drawRows(run, view) : el("p", { class: "faint" }, "Loading the batches…"));

const drawRows = (run, view) => [
  el("div", { class: "scroll" }, el("table", { class: "batches" },
    el("thead", {}, el("tr", {}, ["Shard", "State", "Batch", "Requests", "Outcome", "Age", "Expected end", "Cost", ""]
      .map((title) => el("th", { scope: "col" }, title)))),
    el("tbody", {}, run.rows.items.map((row) => drawRow(row))))),
  run.rows.pages > 1 && pager(run.rows.page, run.rows.pages, plural(run.rows.count, "batch", "batches"), `of-${run.token}`,
    (page) => view.turn(run.token, page)),
];

const drawRow = (row) => {
  const name = /^\d+$/.test(row.name) ? String(Number(row.name)) : row.name || "?";
  const failed = Object.entries(row.errors);
  const succeeded = row.by_status.succeeded || 0;
  return el("tr", { class: row.state },
    el("td", { title: row.key }, name, row.round > 1 ? el("span", { class: "tag" }, "round 2") : null),
    el("td", {}, badge(row.state, LABEL[row.state])),
    el("td", { class: "mono" }, row.links.batch
      ? el("a", { href: row.links.batch, "data-airflow": true, target: "_blank" }, row.batch_id) : row.batch_id || "–",
      row.adopted ? el("span", { class: "tag", title: "the reply to its POST was lost; it was found and proved" }, "adopted") : null),
    el("td", { class: "right" }, count(row.requests)),
    el("td", {}, Object.keys(row.by_status).length
      ? [el("span", { class: succeeded ? "good" : "" }, `${count(succeeded)} ok`),
        failed.map(([kind, times]) => el("span", { class: "chip" }, `${count(times)} ${kind}`))]
      : el("span", { class: "faint" }, "–")),
    el("td", {}, row.state === "ended" || row.state === "collected"
      ? (row.submitted && row.ended ? el("span", { title: `ended ${exact(row.ended)}` }, `took ${span(row.ended - row.submitted)}`) : "–")
      : age(row.submitted ?? row.since)),
    el("td", {}, row.state === "submitted" ? expectedEnd(row) : el("span", { class: "faint" }, "–")),
    el("td", { class: "right" }, row.cost_usd === null && !row.known_cost_usd
      ? el("span", { class: "faint" }, row.state === "collected" ? "not known" : "–")
      : cost(row.cost_usd ?? row.known_cost_usd, row.cost_usd === null)),
    el("td", {}, row.links.task ? uiLink(row.links.task, "Task") : ""));
};

export const pager = (page, pages, what, id, go) => el("div", { class: "pager" },
  el("button", { id: `${id}-back`, disabled: page <= 1, onclick: () => go(page - 1) }, "‹ Back"),
  el("span", {}, `page ${count(page)} of ${count(pages)}, ${what}`),
  el("button", { id: `${id}-on`, disabled: page >= pages, onclick: () => go(page + 1) }, "Next ›"));

export const explainEmpty = (data, params) => {
  const filtered = ["pipeline", "day", "dag_id", "run"].some((name) => params.get(name));
  if (!data.empty || (filtered && params.get("run"))) {
    return el("div", { class: "card empty" },
      el("h2", {}, params.get("run") ? "This run is not known here" : "No run is like that"),
      el("p", {}, params.get("run")
        ? "A run appears here from its first task on, for a month; its batches stay. Runs that you may not read are not shown."
        : "No run that you may see passes this filter."),
      el("p", {}, el("a", { href: "batches" }, "Show all runs")));
  }
  return el("div", { class: "card empty" },
    el("h2", {}, "No runs yet"),
    el("p", {}, "No pipeline was run, or none that you may see. To begin:"),
    el("ol", {},
      el("li", {}, "Open ", uiLink("dags/article_summaries", "article_summaries"),
        ", press ", el("b", {}, "Trigger"), ", name a source and a day."),
      el("li", {}, "Or publish the bundled sample, which needs no key: ", el("code", { class: "command" }, "nightpress run")),
      el("li", {}, "Every run appears here from its first task on.")));
};

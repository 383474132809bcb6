// Elements, numbers, moments and links. Text is only ever set as text.
export const UI = new URL("../", location.href).href; // Airflow's own root
export const STATES = [
  ["question", "open question"], ["submitting", "submitting"], ["submitted", "in progress"],
  ["ended", "ended"], ["intended", "not submitted"], ["collected", "answers stored"],
];
export const LABEL = Object.fromEntries(STATES);
export const RUN_LABEL = {
  approval: "waits for approval", question: "open question", account: "account trouble", over_budget: "over budget",
  unreadable: "source not readable", failed: "failed", running: "running", stopped: "not all submitted",
  collected: "answers stored, not published", published: "published", replaced: "replaced", planned: "plan only",
  rejected: "plan rejected",
};
// What a run that needs a person needs, and what happens by itself.
export const NEED = {
  approval: "A person must approve the plan before anything is sent.",
  question: "See the open question above.",
  account: "The API refuses because of the account. Fix the cause, then clear the task; what is answered stays.",
  over_budget: "The plan costs more than the budget allows, so nothing was sent.",
  unreadable: "The source could not be read, so nothing was sent.",
  failed: "The run has stopped; what was paid for is kept.",
};

export const el = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "onclick") node.addEventListener("click", value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return node;
};
export const count = (number) => Number(number).toLocaleString("en-US");
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;
// Rounded as `dollars` in costs/money.py does, so that the page and the report show the same amount.
export const usd = (amount) => {
  if (typeof amount !== "number") return "not known";
  const [sign, size] = [amount < 0 ? "-" : "", Math.abs(amount)];
  if (size > 0 && size < 0.00005) return `${sign}<$0.0001`;
  const [whole, rest] = size.toFixed(size === 0 || size >= 1 ? 2 : 4).split(".");
  return `${sign}$${count(whole)}.${rest}`;
};
export const cost = (amount, unknown) =>
  unknown ? (amount ? `${usd(amount)} + ?` : "not known") : usd(amount);

let offset = 0; // server's clock less this one's, in seconds
export const setNow = (moment) => { offset = moment - performance.now() / 1000; };
export const now = () => performance.now() / 1000 + offset;
export const span = (seconds) => {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole < 600 ? `${whole % 60} s` : ""}`.trim();
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
};
export const clock = (moment) => {
  const at = new Date(moment * 1000);
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
  const near = Math.abs(moment - now()) < 43200;
  return near ? time : `${at.toLocaleDateString("en-CA")} ${time}`;
};
export const exact = (moment) => {
  const at = new Date(moment * 1000);
  return Number.isNaN(at.getTime()) ? "unknown time" : at.toISOString().replace("T", " ").slice(0, 19) + " UTC";
};
// Elements whose text depends on the time are brought up to date each second, not drawn again.
export const ticking = (name, write, attributes = {}) => {
  const node = el(name, { ...attributes, "data-ticks": true });
  node.write = () => {
    const text = write();
    if (node.textContent !== text) node.textContent = text;
  };
  node.write();
  return node;
};
export const age = (moment) => (moment === null || moment === undefined)
  ? el("span", { class: "faint" }, "–")
  : ticking("time", () => span(now() - moment), { title: exact(moment) });
export const uiLink = (path, text, extra = {}) =>
  path ? el("a", { href: UI + path, "data-airflow": true, ...extra }, text) : text;
export const badge = (state, text) => el("span", { class: `badge ${state}` }, text);

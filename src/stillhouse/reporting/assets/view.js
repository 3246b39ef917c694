// Keys of the list and of a row, the copy button, and marks. Nothing here reads a text as markup.
const go = (name) => document.querySelector(`a[data-key="${name}"]`)?.click();
const rows = [...document.querySelectorAll("tr.row")];
let at = -1;
const select = (next) => {
  if (!rows.length) return;
  rows[at]?.classList.remove("at");
  at = Math.min(Math.max(next, 0), rows.length - 1);
  rows[at].classList.add("at");
  rows[at].scrollIntoView({ block: "nearest" });
};
const say = (text) => {
  const status = document.getElementById("status");
  if (status) status.textContent = text;
};
const mark = async (right) => {
  const place = document.getElementById("mark");
  if (!place) return;
  const reply = await fetch(place.dataset.to, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ right }),
  });
  const answer = await reply.json();
  if (!reply.ok) return say(answer.error);
  say(`${right === null ? "mark taken away" : right ? "marked right" : "marked wrong"} · ${answer.n_marks} marks`);
  if (right !== null) go("next");
};
const keys = {
  j: () => (rows.length ? select(at + 1) : go("next")),
  k: () => (rows.length ? select(at - 1) : history.back()),
  Enter: () => rows[at]?.querySelector("a").click(),
  n: () => go("next"),
  u: () => go("list"),
  r: () => mark(true),
  w: () => mark(false),
  x: () => mark(null),
  t: () => document.querySelectorAll("details.think").forEach((details) => (details.open = !details.open)),
  c: () => document.getElementById("copy")?.click(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});
document.getElementById("copy")?.addEventListener("click", async () => {
  await navigator.clipboard.writeText(document.getElementById("case").textContent);
  say("copied");
});
for (const button of document.querySelectorAll("button[data-right]")) {
  button.addEventListener("click", () => mark(JSON.parse(button.dataset.right)));
}
const submit = (event) => event.target.closest("form.filters")?.requestSubmit();
document.querySelectorAll("form.filters select").forEach((element) => element.addEventListener("change", submit));

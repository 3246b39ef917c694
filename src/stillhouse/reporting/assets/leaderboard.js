(() => {
  const form = document.getElementById("filters");
  const apply = () => {
    const chosen = name => form.elements[name].value;
    for (const board of document.querySelectorAll(".board")) {
      board.hidden = !["benchmark", "protocol", "round"].every(name => !chosen(name) || board.dataset[name] === chosen(name));
      for (const row of board.querySelectorAll("tr[data-role]")) row.hidden = Boolean(chosen("role")) && row.dataset.role !== chosen("role");
    }
  };
  form.addEventListener("input", apply);
  form.addEventListener("submit", event => event.preventDefault());
})();

(() => {
  const form = document.getElementById("filters"), samples = [...document.querySelectorAll(".sample")];
  const apply = () => {
    const text = form.elements.text.value.toLowerCase();
    let shown = 0;
    for (const sample of samples) {
      const fits = ["benchmark", "label", "round", "kind"].every(name => !form.elements[name]?.value || sample.dataset[name] === form.elements[name].value);
      sample.hidden = !(fits && (!text || sample.textContent.toLowerCase().includes(text)));
      shown += !sample.hidden;
    }
    form.elements.shown.value = `${shown} shown`;
  };
  form?.addEventListener("input", apply);
  form?.addEventListener("submit", event => event.preventDefault());
})();

// Formulas of texts, except in code; a formula that KaTeX cannot read stays as it is written.
for (const element of document.querySelectorAll(".prose")) {
  renderMathInElement(element, {
    delimiters: [
      { left: "$$", right: "$$", display: true },
      { left: "\\[", right: "\\]", display: true },
      { left: "\\(", right: "\\)", display: false },
      { left: "$", right: "$", display: false },
    ],
    throwOnError: true,
    errorCallback: () => {},
    strict: "ignore",
    trust: false,
    maxExpand: 200,
    maxSize: 20,
  });
}

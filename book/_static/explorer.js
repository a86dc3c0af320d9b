/* The patient explorer: evaluates posterior draws of the models for the patient in the form, in the browser.
   `window.explorerData` is written at every build by book/_ext/hte_explorer.py; hte_utils.corrected.explorer does the
   same in Python, and a test compares the two. Risks are per cent, differences percentage points; positive is harm. */
(function () {
  "use strict";

  const TAILS = [0.025, 0.975];
  const expit = (x) => 1 / (1 + Math.exp(-x));
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  /* Quantiles as numpy.quantile has them. */
  function quantiles(values, probabilities) {
    const sorted = Float64Array.from(values).sort();
    return probabilities.map((p) => {
      const place = p * (sorted.length - 1);
      const below = Math.floor(place);
      const above = Math.min(below + 1, sorted.length - 1);
      return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
    });
  }

  /* What one model says of a patient, over its draws. */
  function evaluate(model, patient) {
    const x = model.covariates.map((covariate) => (patient[covariate.column] - covariate.mean) / covariate.sd);
    const alpha = model.alpha[patient.gender];
    const delta = model.delta[patient.gender];
    const untreated = new Float64Array(alpha.length);
    const treated = new Float64Array(alpha.length);
    for (let draw = 0; draw < alpha.length; draw++) {
      let logOdds = alpha[draw];
      let effect = delta[draw];
      x.forEach((value, k) => { logOdds += value * model.main[k][draw]; });
      model.modifiers.forEach((k, j) => { effect += x[k] * model.interaction[j][draw]; });
      untreated[draw] = 100 * expit(logOdds);
      treated[draw] = 100 * expit(logOdds + effect);
    }
    const difference = treated.map((value, draw) => value - untreated[draw]);
    const [lower, upper] = quantiles(difference, TAILS);
    return {
      untreated: mean(untreated), treated: mean(treated), difference: mean(difference), lower, upper,
      pHarm: mean(Array.from(difference, (value) => (value > 0 ? 1 : 0))),
    };
  }

  /* Listing 1. */
  function truth(coefficients, patient) {
    const { baseline: b, effect: g } = coefficients;
    const logOdds = b.intercept + b.age * (patient.age - 55) + b.anticoagulant * patient.anticoagulant
      + b.prior_bleeding * patient.prior_bleeding + b.diabetes * patient.diabetes + b.sbp * (patient.sbp - 130);
    const effect = g.base + (g.age_per_decade * (patient.age - 55)) / 10 + g.anticoagulant * patient.anticoagulant
      + g.diabetes * patient.diabetes + g.obese * (patient.bmi > 30 ? 1 : 0) + g.prior_bleeding * patient.prior_bleeding;
    const untreated = 100 * expit(logOdds);
    const treated = 100 * expit(logOdds + effect);
    return { untreated, treated, difference: treated - untreated };
  }

  const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)}`;

  function needed(points) {
    const n = Math.round(100 / Math.abs(points));
    return `${points > 0 ? "NNH" : "NNB"} ${n.toLocaleString("en")}`;
  }

  /* Number needed, with an interval that may pass through infinity. */
  function neededInWords(said) {
    const point = Math.abs(said.difference) < 0.005 ? "∞" : needed(said.difference);
    if (said.lower === undefined) return point;
    const between = said.lower < 0 && said.upper > 0 ? " to ∞ to " : " to ";
    return `${point} (${needed(said.lower)}${between}${needed(said.upper)})`;
  }

  function read(form) {
    const entry = (name) => form.elements[name];
    const patient = { gender: entry("gender").value };
    for (const name of ["age", "bmi", "sbp"]) patient[name] = entry(name).valueAsNumber;
    for (const name of ["diabetes", "anticoagulant", "prior_bleeding", "smoking"]) {
      patient[name] = entry(name).checked ? 1 : 0;
    }
    return patient;
  }

  function row(label, said, isTruth) {
    const cells = [
      `${said.untreated.toFixed(1)} %`,
      `${said.treated.toFixed(1)} %`,
      isTruth ? signed(said.difference) : `${signed(said.difference)} (${signed(said.lower)} to ${signed(said.upper)})`,
      isTruth ? "–" : `${Math.round(100 * said.pHarm)} %`,
      neededInWords(said),
    ];
    const line = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = label;
    line.append(head, ...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return line;
  }

  function update(form, data, body, summary) {
    if (!form.checkValidity()) {
      summary.textContent = "Please give numbers within the limits of the trial.";
      body.replaceChildren();
      return;
    }
    const patient = read(form);
    const found = Object.entries(data.models).map(([label, model]) => [label, evaluate(model, patient)]);
    const real = truth(data.truth, patient);
    body.replaceChildren(...found.map(([label, said]) => row(label, said, false)), row("the truth", real, true));
    const [label, said] = found[0];
    const lowerRisk = data.models[label].risks.filter((value) => value < said.untreated / 100).length;
    const rank = Math.min(100, lowerRisk);
    const direction = said.difference > 0 ? "more" : "fewer";
    summary.textContent = `Of 100 patients like this one, ${said.untreated.toFixed(1)} bleed without treatment and `
      + `${said.treated.toFixed(1)} with it: ${Math.abs(said.difference).toFixed(1)} ${direction} (${label}). The `
      + `probability that treatment harms such a patient is ${Math.round(100 * said.pHarm)} %. In truth the difference is `
      + `${signed(real.difference)}. About ${rank} % of the trial's patients have a lower risk without treatment.`;
  }

  function start() {
    const form = document.getElementById("explorer-form");
    const data = window.explorerData;
    if (!form || !data) return;
    const body = document.querySelector("#explorer-table tbody");
    const summary = document.getElementById("explorer-summary");
    const show = () => update(form, data, body, summary);
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    document.getElementById("explorer-table").hidden = false;
    show();
  }

  window.explorerEvaluate = evaluate;
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();

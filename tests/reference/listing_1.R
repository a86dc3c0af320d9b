# The paper's trial in R: the steps of Listing 1 (Appendix A), for any number of patients, seed and treatment variant.
# Sourced by r_trials.R and by the benchmark. Factors stay 0/1: R's factor(x, labels = ...) stops where a small trial
# has one value only. With one patient MASS::mvrnorm drops to a vector, which the listing cannot index; rbind mends that.
logit <- function(p) log(p / (1 - p)) # the listing calls it; it is not part of base R

simulate_trial <- function(n_subjects, seed, variant = "as-printed") {
  set.seed(seed)
  age <- rnorm(n_subjects, mean = 55, sd = 12)
  age <- pmax(pmin(age, 85), 25)
  gender <- rbinom(n_subjects, 1, 0.5)
  pressure <- MASS::mvrnorm(n_subjects, mu = c(130, 80), Sigma = matrix(c(200, 100, 100, 100), 2, 2))
  if (n_subjects == 1) pressure <- rbind(pressure)
  sbp <- pressure[, 1]
  dbp <- pressure[, 2]
  bmi <- rnorm(n_subjects, mean = 28, sd = 5)
  bmi <- pmax(pmin(bmi, 50), 16)
  hypertension <- ifelse(sbp >= 140 | dbp >= 90, 1, 0)
  diabetes <- rbinom(n_subjects, 1, 0.2 + 0.2 * (bmi > 30))
  smoking <- rbinom(n_subjects, 1, 0.25 - 0.1 * (age > 65))
  anticoagulant <- rbinom(n_subjects, 1, 0.3)
  prior_bleeding <- rbinom(n_subjects, 1, 0.1)
  first_draw <- rbinom(n_subjects, 1, 0.5)
  treatment_effect <- -0.2 + 0.5 * (age - 55) / 10 + 0.4 * anticoagulant + -0.3 * diabetes + -0.2 * (bmi > 30) + 0.3 * prior_bleeding
  treatment <- first_draw
  if (variant != "first-draw-removed") {
    second_draw <- rbinom(n_subjects, 1, 0.5)
    if (variant == "as-printed") treatment <- second_draw
  }
  baseline_risk <- plogis(-3.5 + 0.02 * (age - 55) + 0.8 * anticoagulant + 1.2 * prior_bleeding + 0.3 * diabetes + 0.01 * (sbp - 130))
  event_prob <- plogis(logit(baseline_risk) + treatment * treatment_effect)
  event <- rbinom(n_subjects, 1, event_prob)
  data <- data.frame(
    subject_id = 1:n_subjects, age = round(age, 1), gender, bmi = round(bmi, 1), sbp = round(sbp), dbp = round(dbp),
    hypertension, diabetes, smoking, anticoagulant, prior_bleeding, treatment, event, true_te = treatment_effect)
  attr(data, "unrounded") <- data.frame(age, sbp, dbp, bmi, baseline_risk, event_prob)
  data
}

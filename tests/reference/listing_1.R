# The paper's trial in R: the steps of Listing 1 (Appendix A), for any number of patients, seed and treatment variant.
# Sourced by r_trials.R and by the benchmark. Factors stay 0/1: R's factor(x, labels = ...) stops where a small trial
# has one value only. With one patient MASS::mvrnorm drops to a vector, which the listing cannot index; rbind mends that.
logit <- function(p) log(p / (1 - p)) # the listing calls it; it is not part of base R

simulate_trial <- function(n_subjects, seed, variant = "as-printed") {
  set.seed(seed)                                                               # [2; the paper's seed is 123]
  age <- rnorm(n_subjects, mean = 55, sd = 12)                                 # years [5-6]
  age <- pmax(pmin(age, 85), 25)
  gender <- rbinom(n_subjects, 1, 0.5)                                         # 1 = Female [8]
  pressure <- MASS::mvrnorm(n_subjects, mu = c(130, 80), Sigma = matrix(c(200, 100, 100, 100), 2, 2)) # mmHg [11-17]
  if (n_subjects == 1) pressure <- rbind(pressure)
  sbp <- pressure[, 1]
  dbp <- pressure[, 2]
  bmi <- rnorm(n_subjects, mean = 28, sd = 5)                                  # kg/m2 [20-21]
  bmi <- pmax(pmin(bmi, 50), 16)
  hypertension <- ifelse(sbp >= 140 | dbp >= 90, 1, 0)                         # [24]
  diabetes <- rbinom(n_subjects, 1, 0.2 + 0.2 * (bmi > 30))                    # [25]
  smoking <- rbinom(n_subjects, 1, 0.25 - 0.1 * (age > 65))                    # [26]
  anticoagulant <- rbinom(n_subjects, 1, 0.3)                                  # [29]
  prior_bleeding <- rbinom(n_subjects, 1, 0.1)                                 # [30]
  first_draw <- rbinom(n_subjects, 1, 0.5)                                     # treatment, overwritten [33]
  # On the log odds of bleeding; positive is harm [43-49]
  treatment_effect <- -0.2 + 0.5 * (age - 55) / 10 + 0.4 * anticoagulant + -0.3 * diabetes + -0.2 * (bmi > 30) + 0.3 * prior_bleeding
  treatment <- first_draw
  if (variant != "first-draw-removed") {
    second_draw <- rbinom(n_subjects, 1, 0.5)                                  # treatment, again [52]
    if (variant == "as-printed") treatment <- second_draw
  }
  # Equations (1) and (2) [36-41, again 55-60]
  baseline_risk <- plogis(-3.5 + 0.02 * (age - 55) + 0.8 * anticoagulant + 1.2 * prior_bleeding + 0.3 * diabetes + 0.01 * (sbp - 130))
  event_prob <- plogis(logit(baseline_risk) + treatment * treatment_effect)    # [63]
  event <- rbinom(n_subjects, 1, event_prob)                                   # 1 = bled [64]
  data <- data.frame(                                                          # [66-82]
    subject_id = 1:n_subjects, age = round(age, 1), gender, bmi = round(bmi, 1), sbp = round(sbp), dbp = round(dbp),
    hypertension, diabetes, smoking, anticoagulant, prior_bleeding, treatment, event, true_te = treatment_effect)
  attr(data, "unrounded") <- data.frame(age, sbp, dbp, bmi, baseline_risk, event_prob)
  data
}

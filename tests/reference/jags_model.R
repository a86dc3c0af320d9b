# What every JAGS script here shares: the paper's trial, the data of Listing 2, the 18 quantities, and chains with
# fixed seeds. Sourced by jags_listing2.R and jags_runs.R, which are run from this folder.
suppressMessages(library(rjags))

# The 18 scalars of Listing 2, in the order of the value files (group 1 = Male, 2 = Female).
QUANTITIES <- c("b_intercept", "b_trt", "b_age", "b_anticoag", "b_diabetes", "b_prior", "b_bmi",
                "b_trt_age", "b_trt_anticoag", "b_trt_diabetes",
                "te_gender[1]", "te_gender[2]", "re[1]", "re[2]", "re_trt[1]", "re_trt[2]", "tau_re", "tau_re_trt")

# Listing 1 as printed, `treatment` drawn twice, with the columns that Listing 2 reads.
paper_trial <- function(n_subjects = 2000, seed = 123) {
  set.seed(seed)
  age <- pmax(pmin(rnorm(n_subjects, 55, 12), 85), 25)
  gender <- rbinom(n_subjects, 1, 0.5)
  blood_pressure <- MASS::mvrnorm(n_subjects, mu = c(130, 80), Sigma = matrix(c(200, 100, 100, 100), 2, 2))
  bmi <- pmax(pmin(rnorm(n_subjects, 28, 5), 50), 16)
  diabetes <- rbinom(n_subjects, 1, 0.2 + 0.2 * (bmi > 30))
  rbinom(n_subjects, 1, 0.25 - 0.1 * (age > 65)) # smoking: not in the model, but it moves the random stream
  anticoagulant <- rbinom(n_subjects, 1, 0.3)
  prior_bleeding <- rbinom(n_subjects, 1, 0.1)
  rbinom(n_subjects, 1, 0.5) # the first treatment draw, overwritten in Listing 1
  treatment <- rbinom(n_subjects, 1, 0.5)
  log_odds <- -3.5 + 0.02 * (age - 55) + 0.8 * anticoagulant + 1.2 * prior_bleeding + 0.3 * diabetes +
    0.01 * (blood_pressure[, 1] - 130)
  effect <- -0.2 + 0.5 * (age - 55) / 10 + 0.4 * anticoagulant - 0.3 * diabetes - 0.2 * (bmi > 30) +
    0.3 * prior_bleeding
  event <- rbinom(n_subjects, 1, plogis(log_odds + treatment * effect))
  # Table 1 prints these six counts: a trial which differs is not the paper's.
  if (n_subjects == 2000 && seed == 123) {
    stopifnot(sum(treatment == 0) == 1016, sum(treatment == 1) == 984,
              sum(event[treatment == 0]) == 50, sum(event[treatment == 1]) == 63,
              sum(prior_bleeding[treatment == 0]) == 115, sum(prior_bleeding[treatment == 1]) == 88)
  }
  data.frame(age = round(age, 1), gender, bmi = round(bmi, 1), diabetes, anticoagulant, prior_bleeding, treatment,
             event)
}

listing2_data <- function(trial) {
  with(trial, list(N = nrow(trial), n_gender = 2, y = event, treatment = treatment, gender = gender,
                   age = as.numeric(scale(age)), bmi = as.numeric(scale(bmi)),
                   anticoag = anticoagulant, diabetes = diabetes, prior_bleeding = prior_bleeding))
}

# One JAGS generator with its own seed per chain, so that a chain can be run again alone.
seeded_inits <- function(seeds) {
  lapply(seeds, function(seed) list(.RNG.name = "base::Mersenne-Twister", .RNG.seed = seed))
}

# Which nodes JAGS updates by which method: "glm::Holmes-Held x 14" and so on.
sampler_names <- function(model) {
  methods <- table(names(list.samplers(model)))
  paste(sprintf("%s x %d", names(methods), as.integer(methods)), collapse = "; ")
}

# Compile, adapt, discard and draw. Returns the chains, the samplers' names and the seconds taken by drawing.
listing2_chains <- function(seeds, n_adapt, n_burnin, n_draws, glm, thin = 1) {
  if (glm) load.module("glm", quiet = TRUE)
  else if ("glm" %in% list.modules()) unload.module("glm", quiet = TRUE)
  model <- jags.model("jags_listing2.txt", listing2_data(paper_trial()), inits = seeded_inits(seeds),
                      n.chains = length(seeds), n.adapt = n_adapt, quiet = TRUE)
  update(model, n_burnin, progress.bar = "none")
  monitored <- unique(sub("\\[.*", "", QUANTITIES))
  seconds <- system.time(chains <- coda.samples(model, monitored, n.iter = n_draws * thin, thin = thin,
                                                progress.bar = "none"))[["elapsed"]]
  list(chains = chains[, QUANTITIES], samplers = sampler_names(model), seconds = seconds)
}

versions <- function() {
  jags <- capture.output(suppressWarnings(rjags::jags.version()))
  c(R = as.character(getRversion()), JAGS = gsub(".*‘|’.*", "", jags[1]),
    rjags = as.character(packageVersion("rjags")), coda = as.character(packageVersion("coda")),
    MASS = as.character(packageVersion("MASS")))
}

# A CSV file with comment lines above its header; moved into place when it is whole.
write_csv <- function(table, path, comments) {
  part <- paste0(path, ".part")
  connection <- if (grepl("[.]gz$", path)) gzfile(part, "wt") else file(part, "wt")
  writeLines(paste("#", comments), connection)
  write.csv(table, connection, row.names = FALSE, quote = FALSE)
  close(connection)
  invisible(file.rename(part, path))
}

# The script's options: --name=value, with defaults of the same type.
options_from <- function(defaults) {
  for (argument in commandArgs(TRUE)) {
    name <- sub("^--([a-z_]+)=.*$", "\\1", argument)
    if (!name %in% names(defaults)) {
      stop("unknown option ", argument, ": expected --", paste(names(defaults), collapse = "=, --"), "=")
    }
    defaults[[name]] <- as(sub("^[^=]*=", "", argument), class(defaults[[name]]))
  }
  defaults
}

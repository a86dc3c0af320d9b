# What coda computes on the chains of coda_chains_*.csv.gz.
#   Rscript coda_values.R [OUTPUT.csv]     (run in this folder; default coda_values.csv)
suppressMessages(library(coda))

read_chains <- function(name) {
  table <- read.csv(paste0("coda_chains_", name, ".csv.gz"), comment.char = "#", check.names = FALSE)
  lapply(split(table[-1], table$chain), as.matrix)
}

# A case: which chains, how many draws of each, and the iteration numbers they bear.
CASES <- list(
  ar = list(chains = "ar", draws = 400, start = 1, thin = 1),
  ar_odd = list(chains = "ar", draws = 117, start = 7, thin = 3),
  jags = list(chains = "jags", draws = 400, start = 1, thin = 1),
  jags_late = list(chains = "jags", draws = 399, start = 1001, thin = 1),
  jags_thinned = list(chains = "jags", draws = 400, start = 1010, thin = 10))

one_case <- function(name, case) {
  chains <- as.mcmc.list(lapply(read_chains(case$chains), function(draws)
    mcmc(draws[seq_len(case$draws), ], start = case$start, thin = case$thin)))
  parameters <- varnames(chains)
  record <- function(statistic, value, chain = 0, parameter = parameters)
    data.frame(case = name, draws = case$draws, start = case$start, thin = case$thin, statistic, parameter, chain,
               value = unname(value))

  statistics <- summary(chains)$statistics
  pooled <- list(
    record("mean", statistics[, "Mean"]), record("sd", statistics[, "SD"]),
    record("naive_se", statistics[, "Naive SE"]), record("time_series_se", statistics[, "Time-series SE"]),
    record("effective_size", effectiveSize(chains)[parameters]))
  per_chain <- lapply(seq_along(chains), function(k) {
    spectrum <- spectrum0.ar(chains[[k]])
    rbind(record("spectrum", spectrum$spec, k), record("order", spectrum$order, k),
          record("geweke", geweke.diag(chains[[k]])$z, k),
          record("geweke_20_40", geweke.diag(chains[[k]], frac1 = 0.2, frac2 = 0.4)$z, k))
  })
  scale_reduction <- lapply(c(FALSE, TRUE), function(autoburnin) {
    suffix <- if (autoburnin) "_autoburnin" else ""
    at <- function(confidence) {
      gelman.diag(chains, confidence = confidence, transform = FALSE, autoburnin = autoburnin)
    }
    rbind(record(paste0("psrf", suffix), at(0.95)$psrf[, 1]), record(paste0("upper", suffix), at(0.95)$psrf[, 2]),
          record(paste0("upper_80", suffix), at(0.80)$psrf[, 2]),
          record(paste0("multivariate", suffix), at(0.95)$mpsrf, parameter = "all"))
  })
  do.call(rbind, c(pooled, per_chain, scale_reduction))
}

values <- do.call(rbind, Map(one_case, names(CASES), CASES))
values$value <- signif(values$value, 12)
path <- c(commandArgs(TRUE), "coda_values.csv")[1]
connection <- file(path, "wt")
writeLines(sprintf("# coda %s, R %s; chain 0: all chains pooled; see coda_values.R",
                   packageVersion("coda"), getRversion()), connection)
write.csv(values, connection, row.names = FALSE, quote = FALSE)
close(connection)

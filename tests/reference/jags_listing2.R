# Listing 2 in JAGS with module glm on the paper's trial, long enough for a Monte Carlo error below 1 % of every
# posterior SD.
#   Rscript jags_listing2.R [--chains_file=all_draws.csv.gz] [--n_draws=50000]
# Writes jags_listing2_summary.csv and jags_listing2_draws.csv.gz beside this script; about six minutes on one core.
source("jags_model.R")
option <- options_from(list(chains_file = "", n_draws = 50000))
SEEDS <- c(20241, 20242, 20243)

run <- listing2_chains(SEEDS, n_adapt = 2000, n_burnin = 2000, n_draws = option$n_draws, glm = TRUE)
all_draws <- do.call(rbind, lapply(run$chains, as.matrix))
ess <- effectiveSize(run$chains)
mean_mcse <- summary(run$chains)$statistics[, "Time-series SE"]
posterior_sd <- apply(all_draws, 2, sd)

provenance <- c(
  sprintf("Listing 2 on Listing 1's trial (n = 2000, seed 123); JAGS module glm; samplers: %s", run$samplers),
  sprintf("%d chains, seeds %s (base::Mersenne-Twister), 2000 adaptation + 2000 burn-in + %d draws each, %.0f s of drawing",
          length(SEEDS), paste(SEEDS, collapse = " "), as.integer(option$n_draws), run$seconds),
  paste(names(versions()), versions(), collapse = ", "))
quantiles <- t(apply(all_draws, 2, quantile, probs = c(0.025, 0.05, 0.25, 0.5, 0.75, 0.95, 0.975)))
colnames(quantiles) <- c("q2.5", "q5", "q25", "q50", "q75", "q95", "q97.5")
table <- data.frame(parameter = QUANTITIES, signif(cbind(mean = colMeans(all_draws), sd = posterior_sd, quantiles), 7),
                    mcse_mean = signif(mean_mcse, 4), ess = round(ess, 1),
                    psrf = round(gelman.diag(run$chains, autoburnin = FALSE, multivariate = FALSE)$psrf[, 1], 6))
write_csv(table, "jags_listing2_summary.csv",
          c(provenance, "mcse_mean: coda's time-series SE; ess: coda's effectiveSize; psrf: gelman.diag, autoburnin FALSE"))
print(table, digits = 4)

# About 2000 joint draws, evenly spaced; five significant digits keep the file small.
kept <- seq(1, option$n_draws, by = max(1, ceiling(option$n_draws * length(SEEDS) / 2000)))
thinned <- do.call(rbind, lapply(seq_along(run$chains), function(k)
  data.frame(chain = k, draw = kept, signif(as.matrix(run$chains[[k]])[kept, ], 5), check.names = FALSE)))
write_csv(thinned, "jags_listing2_draws.csv.gz", provenance)

if (nzchar(option$chains_file)) {
  labelled <- do.call(rbind, lapply(seq_along(run$chains), function(k)
    data.frame(chain = k, signif(as.matrix(run$chains[[k]]), 8), check.names = FALSE)))
  write_csv(labelled, option$chains_file, provenance)
}
if (any(mean_mcse > 0.01 * posterior_sd)) stop("the Monte Carlo error exceeds 1 % of the posterior SD: raise --n_draws")

# Long chains of Listing 2 from JAGS's default samplers (module glm not loaded), to be cut into runs as long as the
# paper's.
#   Rscript jags_runs.R --chains_file=slice_chain_1.csv.gz --seed=31 [--n_draws=45000]
# One chain a call, so that chains can run side by side; about 13 ms an iteration. The recorded runs come from the seeds
# 31, 32 and 33. jags_runs.py cuts the chains and writes jags_runs_*.csv.gz. (The chains with module glm are those of
# jags_listing2.R --chains_file=...)
source("jags_model.R")
option <- options_from(list(chains_file = "", seed = 31, n_draws = 45000))
if (!nzchar(option$chains_file)) stop("--chains_file= is needed: where shall the draws go?")

# Burn-in of 4000 is some forty autocorrelation times of the intercept.
run <- listing2_chains(option$seed, n_adapt = 1000, n_burnin = 4000, n_draws = option$n_draws, glm = FALSE)
provenance <- c(
  sprintf("Listing 2 on Listing 1's trial (n = 2000, seed 123); JAGS without module glm; samplers: %s", run$samplers),
  sprintf("seed %d (base::Mersenne-Twister), 1000 adaptation + 4000 burn-in + %d draws, %.0f s of drawing",
          as.integer(option$seed), as.integer(option$n_draws), run$seconds),
  paste(names(versions()), versions(), collapse = ", "))
write_csv(data.frame(chain = as.integer(option$seed), signif(as.matrix(run$chains[[1]]), 8), check.names = FALSE),
          option$chains_file, provenance)

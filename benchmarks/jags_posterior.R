# Times Listing 2 in JAGS: Rscript jags_posterior.R <data.csv> <model.txt> <glm|noglm> <chains> <cores> <adapt> <draws> <out.csv>
# Chains run in parallel processes. Prints the seconds of compilation and adaptation and of drawing, together, after rjags
# is loaded; writes the draws. It is started by posterior.py.
suppressMessages({library(rjags); library(parallel)})
argument <- commandArgs(TRUE)
patients <- read.csv(argument[1])
data <- c(as.list(patients), N = nrow(patients), n_gender = 2)
if (argument[3] == "glm") load.module("glm", quiet = TRUE)
nodes <- c("b_intercept", "b_trt", "b_age", "b_anticoag", "b_diabetes", "b_prior", "b_bmi", "b_trt_age", "b_trt_anticoag",
           "b_trt_diabetes", "te_gender", "re", "re_trt", "tau_re", "tau_re_trt")
chain <- function(seed) {
  inits <- list(.RNG.name = "base::Mersenne-Twister", .RNG.seed = seed)
  model <- jags.model(argument[2], data, inits = inits, n.adapt = as.integer(argument[6]), quiet = TRUE)
  draws <- coda.samples(model, nodes, n.iter = as.integer(argument[7]), progress.bar = "none")[[1]]
  data.frame(chain = seed, as.matrix(draws), check.names = FALSE)
}
started <- proc.time()[["elapsed"]]
draws <- do.call(rbind, mclapply(seq_len(as.integer(argument[4])), chain, mc.cores = as.integer(argument[5])))
cat(proc.time()[["elapsed"]] - started, "\n")
write.csv(draws, argument[8], row.names = FALSE)

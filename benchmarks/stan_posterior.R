# Times Listing 2 in Stan: Rscript stan_posterior.R <data.csv> <model.stan> <engine> <chains> <cores> <warm-up> <draws> <out.csv>
# Chains run in parallel processes. Prints the seconds of warm-up and drawing together, after the model is compiled;
# writes the draws. It is started by posterior.py.
suppressMessages(library(rstan))
argument <- commandArgs(TRUE)
size <- as.integer(argument[4:7])  # chains, cores, warm-up, draws
patients <- read.csv(argument[1])
data <- c(as.list(patients), N = nrow(patients), n_gender = 2)
nodes <- c("b_intercept", "b_trt", "b_age", "b_anticoag", "b_diabetes", "b_prior", "b_bmi", "b_trt_age", "b_trt_anticoag",
           "b_trt_diabetes", "te_gender", "re", "re_trt", "tau_re", "tau_re_trt")
if (rstan_options("boost_lib") == "") rstan_options(boost_lib = "/usr/include")  # Debian's BH has no headers of its own
compiled <- stan_model(argument[2])
started <- proc.time()[["elapsed"]]
fitted <- sampling(compiled, data, pars = nodes, chains = size[1], cores = size[2], warmup = size[3],
                   iter = size[3] + size[4], seed = 1, refresh = 0)
seconds <- proc.time()[["elapsed"]] - started
draws <- as.array(fitted)[, , 1:18]  # draws, chains, quantities; the last is the log density
chains <- lapply(seq_len(size[1]), function(each) data.frame(chain = each, draws[, each, ], check.names = FALSE))
write.csv(do.call(rbind, chains), argument[8], row.names = FALSE)
cat(seconds, "\n")

# R's deterministic parts: the normal quantile, rounding to one decimal.
#   Rscript r_functions.R [OUTPUT.csv.gz]     (run in this folder; default r_functions.csv.gz)
# One row a call: the function, its argument, its value.
source("r_values.R")
row <- function(name, argument, value) data.frame(name, argument = hex(argument), value = hex(value))

set.seed(88)
borders <- c(0, 1, 0.5, 0.5 - 0.425, 0.5 + 0.425, exp(-25), 1 - exp(-25), 1.4e-11, 2^-60, 1 - 2^-53)
# Probabilities whose logarithm comes out differently from a vectorised log (AVX-512) than from the C library's.
hard <- c(0x1.fbd182p-5, 0x1.cbaa7ep-6, 0x1.26daaa2p-4, 0x1.11bbb9p-4, 0x1.efa7588p-5, 0x1.1de946p-5)
p <- c(hard, borders, borders[3:8] * (1 + 2^-52), borders[3:8] * (1 - 2^-53), runif(600), 10^runif(300, -290, -1), 1 - 10^runif(300, -15, -1))

halves <- seq(-60, 1200) / 20
x <- c(halves, halves * (1 + 2^-52), halves * (1 - 2^-53), rnorm(300, 50, 40), 10^runif(200, -4, 12.9), -0.04, 1e-9)

write_values(rbind(row("qnorm", p, qnorm(p)), row("round1", x, round(x, 1))), output_path("r_functions.csv.gz"))

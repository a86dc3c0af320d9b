# Kaplan and Meier's estimate, Cox's regression and restricted means of ACTG 175 by the R package survival (recorded with 3.5-3).
#   Rscript r_survival.R [OUTPUT.csv]     (run in this folder; default r_survival.csv)
# The table is the one that is shipped with the book; arms are compared with zidovudine alone.
suppressPackageStartupMessages(library(survival))
source("r_values.R")

trial <- read.csv("../../book/data/actg175/actg175.csv", row.names = 1)
found <- list()
keep <- function(quantity, population, arm, value) {
  found[[length(found) + 1]] <<- data.frame(quantity, population, arm, value = hex(value))
}
days <- c(200, 400, 600, 800, 1000)
for (population in c("all", "naive", "experienced")) {
  some <- switch(population, all = trial, naive = trial[trial$str2 == 0, ], experienced = trial[trial$str2 == 1, ])
  for (arm in 0:3) {
    curve <- survfit(Surv(days, cens) ~ 1, data = some[some$arms == arm, ])
    at <- summary(curve, times = days)
    keep("survival", population, arm, at$surv)
    keep("survival.se", population, arm, at$std.err)
    table <- summary(curve, rmean = 730)$table
    keep("restricted.mean.730", population, arm, table[c("rmean", "se(rmean)")])
    if (arm > 0) {
      pair <- some[some$arms %in% c(0, arm), ]
      for (ties in c("efron", "breslow")) {
        cox <- coxph(Surv(days, cens) ~ I(arms == arm), data = pair, ties = ties)
        keep(paste0("cox.", ties), population, arm, c(coef(cox), sqrt(vcov(cox))))
      }
    }
  }
}
# With covariates, an effect of its own for each history of therapy and interactions: zidovudine + didanosine against zidovudine.
pair <- trial[trial$arms %in% 0:1, ]
z <- function(x) (x - mean(x)) / sd(x)
pair <- transform(pair, age = z(age), cd4 = z(cd40), karnof = z(karnof), naive = (str2 == 0) * arms, experienced = (str2 == 1) * arms)
cox <- coxph(Surv(days, cens) ~ str2 + naive + experienced + age + cd4 + karnof + symptom + I(age * arms) + I(cd4 * arms), data = pair, ties = "efron")
keep("cox.adjusted", "all", 1, coef(cox))
keep("cox.adjusted.se", "all", 1, sqrt(diag(vcov(cox))))
write_values(do.call(rbind, found), output_path("r_survival.csv"))

# Table 1 by the R package tableone (recorded with 0.13.2) where values are missing, a row is constant, or an arm has no value.
#   Rscript r_table_one.R [OUTPUT.csv]     (run in this folder; default r_table_one.csv)
# The trial is Listing 1's, 400 patients, seed 5, with values taken away by row number; the test does the same.
suppressPackageStartupMessages(library(tableone))
source("r_values.R")
source("listing_1.R")

trial <- simulate_trial(400, 5)
row_number <- seq_len(nrow(trial))
trial$smoking[row_number %% 4 == 0] <- NA
trial$bmi[row_number %% 10 == 3] <- NA
trial$event[row_number %% 50 == 7] <- NA
trial$hypertension <- 0
trial$sbp <- 120
trial$prior_bleeding[trial$treatment == 0] <- NA

continuous <- c("age", "bmi", "sbp", "dbp", "true_te")
categorical <- c("gender", "hypertension", "diabetes", "smoking", "anticoagulant", "prior_bleeding", "event")
table_one <- function(variables) {
  CreateTableOne(variables, strata = "treatment", data = trial, factorVars = intersect(variables, categorical))
}
found <- list()
keep <- function(variable, level, quantity, value) {
  found[[length(found) + 1]] <<- data.frame(variable, level, quantity, value = hex(value))
}
for (variable in c(continuous, categorical)) {
  table <- table_one(variable)
  factor <- variable %in% categorical
  part <- if (factor) table$CatTable else table$ContTable
  for (arm in c("0", "1")) {
    if (factor) {
      rows <- part[[arm]][[variable]]
      for (k in seq_len(nrow(rows))) {
        keep(variable, as.character(rows$level[k]), paste0("count.", arm), rows$freq[k])
        keep(variable, as.character(rows$level[k]), paste0("percent.", arm), rows$percent[k])
      }
      keep(variable, "", paste0("missing.", arm), rows$miss[1])
    } else {
      for (quantity in c("miss", "mean", "sd")) {
        keep(variable, "", paste0(sub("miss", "missing", quantity), ".", arm), part[[arm]][variable, quantity])
      }
    }
  }
  p <- attr(part, "pValues")[variable, if (factor) "pApprox" else "pNormal"]
  keep(variable, "", "p", p)
  keep(variable, "", "smd", ExtractSmd(table)[variable, 1])
}
write_values(do.call(rbind, found), output_path("r_table_one.csv"))

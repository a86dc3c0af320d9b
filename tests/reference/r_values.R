# What the scripts that record R's own arithmetic share: doubles written exactly, and where they came from.
# Sourced by r_*.R, which are run from this folder.

# Hexadecimal doubles: every bit, read back by Python's float.fromhex.
hex <- function(x) paste(sprintf("%a", as.double(x)), collapse = " ")

provenance <- function() {
  software <- extSoftVersion()
  c(R.version.string,
    sprintf("MASS %s; BLAS %s; LAPACK %s; %s", packageDescription("MASS")$Version, basename(software["BLAS"]), La_version(), R.version$platform),
    sprintf("RNGkind: %s", paste(RNGkind(), collapse = ", ")))
}

# Rows of named values below the provenance, as CSV; compressed where the name ends in .gz.
write_values <- function(rows, path) {
  connection <- if (grepl("\\.gz$", path)) gzfile(path, "w") else file(path, "w")
  on.exit(close(connection))
  writeLines(paste("#", provenance()), connection)
  write.csv(rows, connection, row.names = FALSE, quote = FALSE)
}

output_path <- function(default) {
  arguments <- commandArgs(TRUE)
  if (length(arguments)) arguments[1] else default
}

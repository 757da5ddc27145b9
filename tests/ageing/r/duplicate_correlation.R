# Writes duplicate_correlation.csv: moderated t tests of age in both protocols together, donors in both correlated by
# the consensus of all genes (duplicateCorrelation), without and with voom weights; duplicate_correlations.csv: the
# consensus and, a gene, Fisher's z of its correlation. See make_inputs.py.
suppressMessages({library(limma); library(edgeR)})
counts <- as.matrix(read.csv("counts.csv", row.names = 1))
units <- read.csv("units.csv", row.names = 1)
counts <- counts[rowSums(counts) >= 200, ]
design <- cbind(constant = 1, male = units$male, nuclei = units$nuclei, age = units$age)
digits <- function(table) { number <- sapply(table, is.double); table[number] <- lapply(table[number], sprintf, fmt = "%.12g"); table }
save <- function(table, file) write.csv(digits(table), file, row.names = FALSE, quote = FALSE)

voomed <- voom(calcNormFactors(DGEList(counts)), design)
run <- function(method, object) {
  found <- duplicateCorrelation(object, design, block = units$donor)
  bare <- lmFit(object, design, block = units$donor, correlation = found$consensus.correlation)
  fit <- eBayes(bare)
  trend <- eBayes(bare, trend = TRUE)
  list(tests = data.frame(method = method, gene = rownames(counts), effect = fit$coefficients[, "age"],
                          unscaled = fit$stdev.unscaled[, "age"], sigma = fit$sigma, prior_variance = fit$s2.prior,
                          prior_df = fit$df.prior, t = fit$t[, "age"], p_value = fit$p.value[, "age"],
                          t_trend = trend$t[, "age"], p_value_trend = trend$p.value[, "age"]),
       correlations = data.frame(method = method, consensus = found$consensus.correlation, gene = rownames(counts),
                                 atanh = found$atanh.correlations))
}
plain <- run("plain", voomed$E)
weighted <- run("voom", voomed)
save(rbind(plain$tests, weighted$tests), "duplicate_correlation.csv")
save(rbind(plain$correlations, weighted$correlations), "duplicate_correlations.csv")
save(data.frame(gene = rep(rownames(voomed$E), ncol(voomed$E)), unit = rep(colnames(voomed$E), each = nrow(voomed$E)),
                value = c(voomed$E), weight = c(voomed$weights)), "duplicate_correlation_voom.csv")

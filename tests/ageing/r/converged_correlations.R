# Writes converged_correlations.csv: the correlation of each gene by restricted maximum likelihood, from the variance
# components of statmod's mixedModel2Fit, which duplicateCorrelation calls, iterated until it converges (limma stops at a
# tolerance of 1e-6, or after 20 steps); and the consensus, Fisher's mean with 15 % left out at either end.
suppressMessages(library(statmod))
units <- read.csv("units.csv", row.names = 1)
voomed <- read.csv("duplicate_correlation_voom.csv")
genes <- unique(voomed$gene)
wide <- function(column) matrix(voomed[[column]], nrow = length(genes))
y <- wide("value"); weights <- wide("weight")
design <- cbind(1, units$male, units$nuclei, units$age)
block <- model.matrix(~ 0 + factor(units$donor))
run <- function(method, w) {
  rho <- sapply(seq_along(genes), function(g) {
    parts <- mixedModel2Fit(y[g, ], design, block, w = w[g, ], only.varcomp = TRUE, tol = 1e-14, maxit = 2000)$varcomp
    parts[2] / sum(parts)
  })
  consensus <- tanh(mean(atanh(pmax(pmin(rho, 0.99), -0.99)), trim = 0.15))
  data.frame(method = method, consensus = sprintf("%.12g", consensus), gene = genes, correlation = sprintf("%.12g", rho))
}
found <- rbind(run("plain", matrix(1, nrow(y), ncol(y))), run("voom", weights))
write.csv(found, "converged_correlations.csv", row.names = FALSE, quote = FALSE)

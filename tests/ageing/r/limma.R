# Writes limma.csv: moderated t tests of age in the pseudobulks of cells, by every way of estimating the prior;
# voom.csv: log counts and weights; array_weights.csv: sample weights. See make_inputs.py.
suppressMessages({library(limma); library(edgeR)})
counts <- as.matrix(read.csv("counts.csv", row.names = 1))
units <- read.csv("units.csv", row.names = 1)
cells <- units$nuclei == 0
counts <- counts[rowSums(counts[, cells]) > 0, cells]
units <- units[cells, ]
design <- cbind(constant = 1, male = units$male, age = units$age)

digits <- function(table) { number <- sapply(table, is.double); table[number] <- lapply(table[number], sprintf, fmt = "%.12g"); table }
save <- function(table, file) write.csv(digits(table), file, row.names = FALSE, quote = FALSE)
tested <- function(method, fit, ...) {
  fit <- eBayes(fit, ...)
  n <- nrow(fit)
  data.frame(method = method, gene = rownames(fit), effect = fit$coefficients[, "age"],
             unscaled = fit$stdev.unscaled[, "age"], sigma = fit$sigma, df = rep_len(as.numeric(fit$df.residual), n),
             prior_variance = rep_len(fit$s2.prior, n), prior_df = rep_len(fit$df.prior, n), t = fit$t[, "age"],
             df_total = rep_len(fit$df.total, n), p_value = fit$p.value[, "age"])
}

y <- DGEList(counts)
y <- calcNormFactors(y)
plain <- voom(y, design)
quality <- voomWithQualityWeights(y, design)
reml <- voomWithQualityWeights(y, design, method = "reml")
zeros <- suppressMessages(voomLmFit(y, design, keep.EList = TRUE))
logs <- lmFit(plain$E, design)
weighted <- lmFit(plain, design)
save(rbind(
  tested("common", logs), tested("trend", logs, trend = TRUE), tested("robust", logs, robust = TRUE),
  tested("trend robust", logs, trend = TRUE, robust = TRUE), tested("voom", weighted),
  tested("voom trend", weighted, trend = TRUE), tested("voom robust", weighted, robust = TRUE),
  tested("voom trend robust", weighted, trend = TRUE, robust = TRUE), tested("quality", lmFit(quality, design)),
  tested("quality trend", lmFit(quality, design), trend = TRUE), tested("zeros", zeros),
  tested("zeros trend", zeros, trend = TRUE)), "limma.csv")
save(data.frame(gene = rep(rownames(plain$E), ncol(plain$E)), unit = rep(colnames(plain$E), each = nrow(plain$E)),
                value = c(plain$E), weight = c(plain$weights), quality = c(quality$weights), reml = c(reml$weights),
                zeros = c(zeros$EList$weights)),
     "voom.csv")
save(data.frame(unit = colnames(y), library = y$samples$lib.size * y$samples$norm.factors,
                quality = quality$targets$sample.weights, reml = reml$targets$sample.weights,
                unweighted_genebygene = arrayWeights(plain$E, design, method = "genebygene"),
                unweighted_reml = arrayWeights(plain$E, design, method = "reml"),
                reml_weighted = arrayWeights(plain, design, method = "reml"),
                genebygene_weighted = arrayWeights(plain, design, method = "genebygene")), "array_weights.csv")

# Writes f_tests.csv: the moderated F of age and its square together in the pseudobulks of cells, of log2 counts per
# million without weights (with weights a gene, limma's F takes the correlation of the coefficients of all genes alike).
# See make_inputs.py.
suppressMessages({library(limma); library(edgeR)})
counts <- as.matrix(read.csv("counts.csv", row.names = 1))
units <- read.csv("units.csv", row.names = 1)
cells <- units$nuclei == 0
counts <- counts[rowSums(counts[, cells]) > 0, cells]
units <- units[cells, ]
design <- cbind(constant = 1, male = units$male, age = units$age, square = units$age^2)
values <- voom(calcNormFactors(DGEList(counts)), design)$E
run <- function(method, ...) {
  found <- topTable(eBayes(lmFit(values, design), ...), coef = 3:4, sort.by = "none", number = Inf)
  data.frame(method = method, gene = rownames(values), f = sprintf("%.12g", found$F),
             p_value = sprintf("%.12g", found$P.Value))
}
write.csv(rbind(run("common"), run("trend", trend = TRUE)), "f_tests.csv", row.names = FALSE, quote = FALSE)

# Writes camera.csv: competitive tests of gene sets for age in the pseudobulks of cells, with a fixed and with an
# estimated correlation between genes, by values or ranks (camera), from statistics alone (cameraPR), and fry's
# self-contained tests. Sets are those of camera_sets.csv. See make_inputs.py.
suppressMessages({library(limma); library(edgeR)})
counts <- as.matrix(read.csv("counts.csv", row.names = 1))
units <- read.csv("units.csv", row.names = 1)
cells <- units$nuclei == 0
counts <- counts[rowSums(counts[, cells]) >= 80, cells]
units <- units[cells, ]
design <- cbind(constant = 1, male = units$male, age = units$age)
digits <- function(table) { number <- sapply(table, is.double); table[number] <- lapply(table[number], sprintf, fmt = "%.12g"); table }
save <- function(table, file) write.csv(digits(table), file, row.names = FALSE, quote = FALSE)

membership <- read.csv("camera_sets.csv")
sets <- ids2indices(split(membership$gene, membership$set), rownames(counts))
voomed <- voom(calcNormFactors(DGEList(counts)), design)
run <- function(method, object, ...) {
  found <- camera(object, sets, design, contrast = 3, sort = FALSE, ...)
  data.frame(method = method, set = rownames(found), n_genes = found$NGenes,
             correlation = if ("Correlation" %in% names(found)) found$Correlation else 0.01,
             direction = found$Direction, p_value = found$PValue)
}
pre <- function(method, ...) {
  t <- eBayes(lmFit(voomed, design))$t[, "age"]
  found <- cameraPR(t, sets, sort = FALSE, ...)
  data.frame(method = method, set = rownames(found), n_genes = found$NGenes, correlation = 0.01,
             direction = found$Direction, p_value = found$PValue)
}
save(rbind(run("plain", voomed$E), run("plain estimated", voomed$E, inter.gene.cor = NA),
           run("voom", voomed), run("voom estimated", voomed, inter.gene.cor = NA),
           run("voom ranks", voomed, use.ranks = TRUE),
           run("voom trend", voomed, trend.var = TRUE),
           run("voom estimated ranks", voomed, use.ranks = TRUE, inter.gene.cor = NA),
           pre("pre-ranked"), pre("pre-ranked ranks", use.ranks = TRUE)), "camera.csv")
turn <- function(method, object) {
  found <- fry(object, sets, design, contrast = 3, sort = FALSE)
  data.frame(method = method, set = rownames(found), n_genes = found$NGenes, direction = found$Direction,
             p_value = found$PValue, p_value_mixed = found$PValue.Mixed)
}
save(rbind(turn("plain", voomed$E), turn("voom", voomed)), "fry.csv")

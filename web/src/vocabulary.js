// The words of a study, as titin.study.vocabulary has them: of sex, of protocol, and those that name nobody.

const words = (/** @type {string} */ text) => text.split(" ");
const MISSING = words(
  "unknown unk notknown na nan none null nil nat missing unavailable notavailable notapplicable inapplicable notreported "
  + "unreported notprovided notcollected notdetermined undetermined notspecified unspecified notrecorded unrecorded notassigned "
  + "unassigned undefined notdefined undisclosed notdisclosed withheld nodata noinformation noinfo tobedetermined tbd");
const OF_SEVERAL = words("pooled pool pools pooleddonors pooledsamples poolofdonors multiple multipledonors mixed mixeddonors mix mixture");
const NO_SINGLE_CELL = words("doublet doublets multiplet multiplets dbl ambiguous amb unhashed untagged nohash nohashtag");
/** @type {Record<string, Set<string>>} */
const NOTHING = {
  donor: new Set([...MISSING, ...OF_SEVERAL, ...NO_SINGLE_CELL]), sample: new Set([...MISSING, ...NO_SINGLE_CELL]),
  sex: new Set([...MISSING, ...OF_SEVERAL, ...words("u nd ambiguous indeterminate both malefemale femalemale")]),
  cell_type: new Set([...MISSING, ...words("unannotated notannotated unclassified unlabeled unlabelled nolabel")]),
};
/** @type {Record<string, string>} */
const NOUNS = {
  donor: "donor|patient|individual|subject|sample|id", sample: "sample|library|id", sex: "sex|gender", protocol: "protocol|suspensiontype",
  chemistry: "chemistry|assay|protocol", study: "study|dataset|cohort|id", cell_type: "celltype|type|cell|cells|label|annotation",
};
const SEXES = { F: words("f female females woman women girl girls pato:0000383 ♀"), M: words("m male males man men boy boys pato:0000384 ♂") };
const PROTOCOLS = { cells: words("cell cells singlecell singlecells scrnaseq sc"), nuclei: words("nucleus nuclei singlenucleus singlenuclei snrnaseq sn") };
const BETWEEN = ["/", ",", "+", ";", "&", "|", "_"];

/** Lower case without spaces, dots, dashes and underscores. @param {string} name */
export function plain(name) {
  return name.replace(/[\s._-]+/gu, "").toLowerCase();
}

/** @param {Record<string, string[]>} named @param {string} name */
function among(named, name) {
  return Object.keys(named).find((one) => named[one].includes(plain(name))) ?? null;
}

/** `F` or `M` by a recorded sex; null for anything else. @param {string} name */
export const sexOf = (name) => among(SEXES, name);

/** `cells` or `nuclei` by the name of a protocol, also where it is part of a longer name; null for neither. @param {string} name */
export function protocolOf(name) {
  const word = plain(name);
  return among(PROTOCOLS, name) ?? (/nucle|^snrna/.test(word) ? "nuclei" : /cell|^scrna/.test(word) ? "cells" : null);
}

/** @param {string} value @param {string} role */
function isMissing(value, role) {
  if (/^[\s\-–—_.?/*#<>()[\]]*$/u.test(value)) return true;
  const reason = /^(?:missing\s*:[^]*|(?:pooled|pool of)\s*[[(:][^]*|pool of\s[^]*)$/iu.exec(value.trim());
  if (reason) return role === "donor" || reason[0].toLowerCase().startsWith("missing");
  const word = value.replace(/[^\p{L}\p{N}]+/gu, "").toLowerCase();
  const nouns = NOUNS[role];
  const bare = nouns ? word.replace(new RegExp(`^(?:${nouns})(?=[\\p{L}\\p{N}])|(?<=[\\p{L}\\p{N}])(?:${nouns})$`, "gu"), "") : word;
  return MISSING.includes(word) || MISSING.includes(bare) || Boolean(NOTHING[role]?.has(word));
}

/**
 * Of the distinct entries of a column, those that say that something is not known, or is of no one in particular.
 * @param {string[]} values
 * @param {string} role of the column
 * @returns {Set<string>}
 */
export function missingWords(values, role) {
  const found = new Set(values.filter((value) => isMissing(value, role)));
  if (role === "donor" || role === "sample") {
    const byWord = new Map(values.map((value) => [plain(value), value]));
    const negative = byWord.get("negative");
    if (negative !== undefined && !byWord.has("positive") && !byWord.has("pos")) found.add(negative);
  }
  if (role === "donor") {
    const known = new Set(values.filter((value) => !found.has(value)));
    for (const value of values) {
      const several = BETWEEN.some((sign) => {
        const parts = new Set(value.split(sign).map((part) => part.trim()));
        return parts.size > 1 && [...parts].every((part) => known.has(part));
      });
      if (several) found.add(value);
    }
  }
  return found;
}

/**
 * What each entry of a column of a role is called; null for missing. Spellings of one sex or protocol have one name.
 * @param {string[]} values distinct entries
 * @param {string} role
 * @returns {Map<string, string | null>}
 */
export function meanings(values, role) {
  const nothing = missingWords(values, role);
  const meant = new Map(values.map((value) => [value, nothing.has(value) ? null : value.trim()]));
  if (role !== "sex" && role !== "protocol") return meant;
  /** @type {Record<string, string>} */
  const sexes = { F: "female", M: "male" };
  const one = new Map(values.flatMap((value) => {
    const name = nothing.has(value) ? null : role === "sex" ? sexes[sexOf(value) ?? ""] : among(PROTOCOLS, value);
    return name ? [[value, name]] : [];
  }));
  const spellings = new Set([...one].map(([value, name]) => JSON.stringify([name, meant.get(value)])));
  if (spellings.size > new Set(one.values()).size) for (const [value, name] of one) meant.set(value, name);
  return meant;
}

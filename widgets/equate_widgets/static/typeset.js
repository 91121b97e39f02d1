// Renders the LaTeX that equate_srbench.expr.text.latex prints as MathML, which browsers typeset.
// All text becomes text nodes of elements created here; no markup is ever parsed.

const MATHML = "http://www.w3.org/1998/Math/MathML";
const MAX_DEPTH = 200; // nesting of brackets; a formula of 500 nodes has less

const FUNCTIONS = new Set("exp log sin cos tan arcsin arccos arctan tanh".split(" "));
const LETTERS = {
  alpha: "α", beta: "β", gamma: "γ", delta: "δ", epsilon: "ϵ", zeta: "ζ", eta: "η", theta: "θ",
  iota: "ι", kappa: "κ", lambda: "λ", mu: "μ", nu: "ν", xi: "ξ", pi: "π", rho: "ρ", sigma: "σ",
  tau: "τ", upsilon: "υ", phi: "ϕ", chi: "χ", psi: "ψ", omega: "ω", Gamma: "Γ", Delta: "Δ",
  Theta: "Θ", Lambda: "Λ", Xi: "Ξ", Pi: "Π", Sigma: "Σ", Upsilon: "Υ", Phi: "Φ", Psi: "Ψ",
  Omega: "Ω",
};
// how the printer writes single characters of column names
const CHARACTERS = {
  backslash: "\\", sim: "~", wedge: "&", sharp: "#", prime: "'", " ": " ", _: "_", "%": "%",
  "{": "{", "}": "}", $: "$", hat: "^",
};

class UnsupportedLatex extends Error {}

/**
 * A <math> element, or null where the text is not of the printer's kind.
 * @param {string} latex without dollar signs
 */
export function typeset(latex) {
  if (!latex) return null;
  const tokens = latex.match(/\\[A-Za-z]+ ?|\\.|[0-9.]+|\s+|[^]/gu) ?? [];
  const reader = { tokens, at: 0, depth: 0 };
  try {
    const content = row(reader, () => reader.at >= tokens.length);
    const math = node("math", "", content);
    math.setAttribute("displaystyle", "true"); // as in a paragraph of its own, but inline
    return math;
  } catch (error) {
    if (error instanceof UnsupportedLatex) return null;
    throw error;
  }
}

/** The formula typeset, or as code where it cannot be. */
export function formula(latex, text) {
  const math = typeset(latex);
  if (math) return math;
  const code = document.createElement("code");
  code.textContent = text;
  return code;
}

function node(tag, text, children = []) {
  const made = document.createElementNS(MATHML, tag);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function group(children) {
  return children.length === 1 ? children[0] : node("mrow", "", children);
}

/** Atoms up to the place where `ends()` holds, scripts attached to what they follow. */
function row(reader, ends) {
  if (++reader.depth > MAX_DEPTH) throw new UnsupportedLatex("too deep");
  const out = [];
  while (!ends()) {
    if (reader.at >= reader.tokens.length) throw new UnsupportedLatex("incomplete");
    const token = reader.tokens[reader.at++];
    if (/^\s+$/u.test(token)) continue;
    if (token === "^" || token === "_") {
      const script = argument(reader);
      out.push(node(token === "^" ? "msup" : "msub", "", [out.pop() ?? node("mrow"), script]));
    } else {
      out.push(...atom(reader, token));
    }
  }
  reader.depth--;
  return out;
}

/** What stands in braces. */
function argument(reader) {
  if (reader.tokens[reader.at++] !== "{") throw new UnsupportedLatex("an argument");
  const inner = row(reader, () => reader.tokens[reader.at] === "}");
  reader.at++;
  return group(inner);
}

function atom(reader, token) {
  if (token === "{") {
    reader.at--;
    return [argument(reader)];
  }
  if (/^[0-9.]/u.test(token)) return [node("mn", token)];
  if (token === "+" || token === "," || token === "/") return [node("mo", token)];
  if (token === "-") return [node("mo", "−")];
  if (token[0] !== "\\") return [node("mi", token)];
  return command(reader, token.slice(1).trimEnd() || " ");
}

function command(reader, name) {
  if (name === "frac") return [node("mfrac", "", [argument(reader), argument(reader)])];
  if (name === "sqrt") return [node("msqrt", "", [argument(reader)])];
  if (name === "mathrm") return [upright(plainText(reader))];
  if (name === "left") return [brackets(reader)];
  if (name === "cdot") return [node("mo", "⋅")];
  if (name === ",") return [space("0.17em")];
  if (FUNCTIONS.has(name)) return [upright(name), node("mo", "\u2061")];
  if (Object.hasOwn(LETTERS, name)) return [node("mi", LETTERS[name])];
  throw new UnsupportedLatex(name);
}

function upright(text) {
  const made = node("mi", text);
  made.setAttribute("mathvariant", "normal");
  return made;
}

function space(width) {
  const made = node("mspace");
  made.setAttribute("width", width);
  return made;
}

function brackets(reader) {
  const open = reader.tokens[reader.at++];
  const inner = row(reader, () => (reader.tokens[reader.at] ?? "").trimEnd() === "\\right");
  const close = reader.tokens[reader.at + 1];
  reader.at += 2;
  if (!"(|".includes(open) || !")|".includes(close)) throw new UnsupportedLatex(open + close);
  const fence = (text, form) => {
    const made = node("mo", text);
    made.setAttribute("form", form);
    made.setAttribute("stretchy", "true");
    return made;
  };
  return node("mrow", "", [fence(open, "prefix"), group(inner), fence(close, "postfix")]);
}

/** A column's name: the escapes of the printer taken back. */
function plainText(reader) {
  if (reader.tokens[reader.at++] !== "{") throw new UnsupportedLatex("a name");
  let text = "";
  for (;;) {
    const token = reader.tokens[reader.at++];
    if (token === undefined) throw new UnsupportedLatex("incomplete");
    if (token === "}") return text;
    if (token[0] !== "\\") {
      text += token;
      continue;
    }
    const name = token.slice(1).trimEnd() || " ";
    if (!Object.hasOwn(CHARACTERS, name)) throw new UnsupportedLatex(name);
    if (name === "hat") reader.at += 3; // the printer's `\hat{\ }`
    text += CHARACTERS[name];
  }
}

"""Names that formulas use: of functions, letters, and marks on letters."""

_FUNCTIONS = (
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh ln log lg exp gcd lcm max min arg det dim ker deg abs Re Im cis"
)
FUNCTIONS = frozenset(_FUNCTIONS.split())
"""Functions that take the following factors as their argument."""
APPLIED = frozenset("fghFGHPE")
"""Letters that a bracket makes unknown functions; P and E are probability and expectation."""
_SYMBOLS = (
    "pi infty alpha beta gamma delta varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau varphi "
    "psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega hbar ell Re Im angle triangle aleph nabla imath jmath "
    "odot oplus circ partial prime"
)
SYMBOLS = frozenset(_SYMBOLS.split())
_ACCENTS = "vec hat bar tilde overline mathbb mathcal mathfrak overrightarrow widehat mathscr dot ddot text"
ACCENTS = frozenset(_ACCENTS.split())
ROMAN = {"i": "i", "e": "e", "pi": "\\pi", "d": "d"}

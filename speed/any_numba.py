"""What compiled.py uses of Numba, so that it works with any version.

Three things are in no documentation of Numba: its options _nrt and forceinline, and xxgemm, its
name for the product of matrices in BLAS. A new version may drop each of them. So they are tried
when this file is imported, and what is missing is left out: then the loop is slower, and right.
"""

import importlib.metadata
from pathlib import Path

import numpy as np

REMEDY = "pip install -U -r requirements-extra.txt, or choose backend 'numpy'"


def version():
    """Return the version of Numba that is installed, or None."""
    try:
        return importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        return None


try:
    from numba import njit, types
except Exception as error:  # beside a NumPy that it does not fit, it can raise anything
    problem = "Numba is not installed"
    if version() is not None:
        problem = f"Numba {version()} fails with {type(error).__name__}: {error}"
    raise ImportError(f"{problem}; {REMEDY}") from error


def can_compile(**option):
    """Return whether Numba can compile a function with this option."""

    def nothing():
        pass

    try:
        njit(**option)(nothing)()
    except Exception:
        return False
    return True


def can_cache():
    """Return whether there is a folder in which Numba can keep what it has compiled."""
    try:
        njit(cache=True)(can_cache)
    except RuntimeError:
        return False
    return True


OPTIONS = {
    "cache": can_cache(),
    "error_model": "numpy",  # a division by 0 is infinity
    # Sums may be reordered. NaN and infinity keep their meaning: they tell of divergence.
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}

# Without the reference counts of views, a stochastic epoch takes two thirds of the time. In return,
# these functions can neither make nor return an array.
if can_compile(_nrt=False):
    OPTIONS["_nrt"] = False

# What is called once in an update becomes a part of it: to hand over a dozen arrays takes as long
# as all the rest of a stochastic update.
INLINED = dict(OPTIONS)
if can_compile(forceinline=True):
    INLINED["forceinline"] = True

# The decorators of compiled.py.
compiled = njit(**OPTIONS)
inlined = njit(**INLINED)


def find_xxgemm():
    """Return xxgemm for float64, or None if this Numba has none."""
    try:
        from numba.np.linalg import _BLAS

        return _BLAS().numba_xxgemm(types.float64)
    except (ImportError, AttributeError):
        return None


xxgemm = find_xxgemm()
HAS_GEMM = xxgemm is not None
DOUBLE = ord("d")
PLAIN = ord("n")
TRANSPOSED = ord("t")
ONE = np.array([1.0])
MINUS_ONE = np.array([-1.0])


@compiled
def gemm(factor, a, form_a, b, form_b, out, n, m, p):
    """out += factor * op(a) @ op(b), where op(a) is a if it is PLAIN and a.T if it is TRANSPOSED.

    op(a) has the shape (n, m), op(b) (m, p) and out (n, p). Unlike np.dot, it adds to what is
    there, so that neither a bias nor an update takes a pass of its own.

    BLAS expects arrays column by column. Row by row, each is its own transpose to it, so it is
    asked for out.T += factor * op(b).T @ op(a).T.
    """
    row_of_a = m if form_a == PLAIN else n
    row_of_b = p if form_b == PLAIN else m
    if HAS_GEMM:  # Numba compiles no branch that is never taken
        xxgemm(
            DOUBLE,
            form_b,
            form_a,
            p,
            n,
            m,
            factor.ctypes,
            b.ctypes,
            row_of_b,
            a.ctypes,
            row_of_a,
            ONE.ctypes,
            out.ctypes,
            p,
        )


def load(function, run):
    """Call `run`, for which Numba compiles `function` or loads it from its cache.

    A damaged file of the cache can raise anything. Then its files are made anew.

    Raises:
        ValueError: if Numba fails all the same.
    """
    try:
        run()
    except Exception as error:
        folder = function.stats.cache_path
        try:
            remove_cache(folder)
            run()
        except Exception:
            first_line = str(error).partition("\n")[0]
            raise ValueError(
                f"Numba {version()} fails with {type(error).__name__}: {first_line}; remove its "
                f"cache, {folder}, or set NUMBA_CACHE_DIR to another folder, or {REMEDY}"
            ) from error


def remove_cache(folder):
    """Remove Numba's files from the folder of its cache, which may hold Python's as well."""
    for path in Path(folder).glob("*.nb[ic]"):
        path.unlink(missing_ok=True)

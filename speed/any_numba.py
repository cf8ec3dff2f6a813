"""What compiled.py uses of Numba, so that it works with old versions and new ones, from 0.61 on.

Three things are not, or hardly, documented by Numba: its options _nrt and forceinline, and xxgemm,
its name for the product of matrices in BLAS. A new version may drop any of them. So each is looked
for when this file is imported, and what is missing is left out. Then the loop is slower, but still
right.
"""

import importlib.metadata
from pathlib import Path

REMEDY = "pip install -U -r requirements-extra.txt, or choose backend 'numpy'"


def problem(error):
    """Return what is wrong with Numba, which has raised this exception, in one line."""
    try:
        version = importlib.metadata.version("numba")
    except importlib.metadata.PackageNotFoundError:
        return "Numba is not installed"
    first_line = str(error).partition("\n")[0]
    return f"Numba {version} fails with {type(error).__name__}: {first_line}"


try:
    from numba import njit, types
except Exception as error:  # with a NumPy that it does not support, it can raise anything
    raise ImportError(f"{problem(error)}; {REMEDY}") from error


def nothing():
    """Do nothing. It is compiled only to try out an option."""


def can_compile(**option):
    """Return whether Numba can compile a function with this option."""
    try:
        compiled_nothing = njit(**option)(nothing)
        compiled_nothing()
    except Exception:
        return False
    return True


def can_cache():
    """Return whether there is a folder in which Numba can keep what it has compiled."""
    try:
        njit(cache=True)(nothing)  # looks for the folder, and compiles nothing yet
    except RuntimeError:
        return False
    return True


# The cache of compiled.py does not notice a change of this file: remove speed/__pycache__ after it.
OPTIONS = {
    "cache": can_cache(),
    "error_model": "numpy",  # a division by 0 is no exception
    # Sums may be reordered. NaN and infinity are kept: they show that training diverges.
    "fastmath": {"reassoc", "contract", "nsz", "arcp"},
}

# Numba counts the references to each slice of an array. Without this counting, a stochastic
# epoch takes only three fifths of the time. The price: no function can allocate or return an array.
if can_compile(_nrt=False):
    OPTIONS["_nrt"] = False

# Inlined: the code of a function is copied to where it is called. To pass a dozen arrays to each
# would take as long as all the rest of a stochastic update.
INLINED = dict(OPTIONS)
if can_compile(forceinline=True):
    INLINED["forceinline"] = True

# The decorators of compiled.py.
compiled = njit(**OPTIONS)
inlined = njit(**INLINED)


def find_xxgemm():
    """Return xxgemm for float64, or None if Numba has none, or no suitable SciPy."""
    try:
        from numba.np.linalg import _BLAS

        return _BLAS().numba_xxgemm(types.float64)
    except Exception:
        return None


xxgemm = find_xxgemm()
HAS_GEMM = xxgemm is not None


def call_or_mend_cache(call, function):
    """Make a call for which Numba compiles `function`, or loads it from its cache.

    Loading a damaged file of the cache can raise any exception. Then its files are removed, and
    made again.

    Raises:
        ValueError: if Numba fails, and removing its cache does not help.
    """
    try:
        call()
    except Exception as error:
        if not OPTIONS["cache"]:
            raise ValueError(f"{problem(error)}; {REMEDY}") from error
        folder = function.stats.cache_path
        try:
            remove_cache(folder)
            call()
        except Exception:
            raise ValueError(
                f"{problem(error)}; remove its cache, {folder}, or set NUMBA_CACHE_DIR to another "
                f"folder, or {REMEDY}"
            ) from error


def remove_cache(folder):
    """Remove Numba's files, .nbi and .nbc, from this folder."""
    for path in Path(folder).glob("*.nb[ic]"):
        path.unlink(missing_ok=True)

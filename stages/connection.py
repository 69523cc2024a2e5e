"""The connection to the scheduler of a Dask cluster, and the sentences if there is none."""

import logging
import warnings
from typing import Any

from src.errors import InputError
from stages.environment import SCHEDULER

INSTALL = "pip install -r requirements-cluster.txt"
CONNECT = 10  # seconds for the scheduler to answer
TLS = "DASK_DISTRIBUTED__COMM__TLS__"  # the beginning of Dask's variables for certificates


def connected(address: str) -> Any:
    """Return Dask's client of a scheduler.

    Raises:
        InputError: Dask is not installed, nothing answers, or the address needs a certificate that this run lacks.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError(
            f"the environment has {SCHEDULER}={address}, and Dask is not installed: run `{INSTALL}`, or unset it"
        ) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # the errors here tell the same in a sentence
    _check_encryption(address)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of versions, which `unfit` compares
            return Client(address, timeout=CONNECT, set_as_default=False)
    except (OSError, ValueError, TimeoutError):
        raise InputError(
            f"the environment has {SCHEDULER}={address}, and no Dask scheduler answers there within {CONNECT} s, "
            "or it refuses this run's certificate: start one with `dask scheduler`, correct the address, or unset it"
        ) from None


def _check_encryption(address: str) -> None:
    """Compare the address with Dask's settings of TLS, before Dask does, which ends in its own errors."""
    from distributed.comm.addressing import normalize_address
    from distributed.security import Security

    encrypted = normalize_address(address).startswith("tls:")
    reason = "Dask knows no certificate for this run"
    try:
        settings = Security().get_connection_args("client")
        if not encrypted and settings["require_encryption"]:
            raise InputError(
                f"the environment has {SCHEDULER}={address}, and Dask is told to encrypt: take the address that begins "
                "with tls://"
            )
        if not encrypted or settings["ssl_context"]:
            return
    except OSError as error:  # also of OpenSSL, for a file that is no certificate
        reason = f"the certificate for this run cannot be read ({error})"
    raise InputError(
        f"the environment has {SCHEDULER}={address}, and {reason}: set {TLS}CA_FILE, {TLS}CLIENT__CERT and "
        f"{TLS}CLIENT__KEY to its files (docs/cluster.md)"
    )

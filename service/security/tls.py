"""TLS for both ports: the service's certificate, and the authorities whose certificates clients must show.

The files are read again when they change, so that a certificate is renewed without a restart.
"""

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

import structlog

from service.errors import InvalidSetting

if TYPE_CHECKING:
    import grpc

T = TypeVar("T")
FileState: TypeAlias = tuple[int, int]

FAULTS_OF_DATES = (9, 10)  # OpenSSL: not valid yet, expired

log = structlog.get_logger("service.security.tls")


class Reloading(Generic[T]):
    """A value that `load` reads from files, and reads again when they change.

    Files that cannot be used leave the last good value in place. Several threads may call `get`: at worst the
    value is loaded twice.
    """

    def __init__(self, files: Sequence[Path], load: Callable[[], T]) -> None:
        """Raises InvalidSetting where the first load fails."""
        self._files = files
        self._load = load
        self._state = _read_state(files)
        self._value = load()

    def get(self) -> T:
        """The value of the files as they are now."""
        if (state := _read_state(self._files)) != self._state:
            self._state = state
            try:
                self._value = self._load()
                log.info("renewed", files=[str(file) for file in self._files])
            except InvalidSetting as error:  # perhaps only one of the files is written yet
                log.error("not renewed", reason=str(error))
        return self._value


def _read_state(files: Sequence[Path]) -> tuple[FileState, ...]:
    """A value that changes when one of the files changes."""
    return tuple(_stat_file(file) for file in files)


def _stat_file(file: Path) -> FileState:
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_ino


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the certificate with its chain, its key, and the authorities of clients' certificates.

    hsts_s: seconds for which browsers shall use only HTTPS (HSTS); 0: the header is not sent.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    hsts_s: int = 0

    def open_context(self) -> ssl.SSLContext:
        """The context of the HTTP port: TLS 1.2 or newer; each handshake uses the files as they are then.

        Raises InvalidSetting where the files cannot be used.
        """
        reloading = Reloading(self._files, self._load_and_check)
        context = reloading.get()

        def renew(handshake: ssl.SSLObject, name: str | None, asked: ssl.SSLContext) -> None:
            if (now := reloading.get()) is not asked:
                handshake.context = now

        context.sni_callback = renew  # is called for clients that name no server, too
        return context

    def load(self) -> ssl.SSLContext:
        """A context of the files as they are now; raises InvalidSetting."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.set_alpn_protocols(["http/1.1"])
        _read("BLITZ_TLS_CERT", self.cert)
        _read("BLITZ_TLS_KEY", self.key)
        try:
            context.load_cert_chain(self.cert, self.key, _refuse_password)
        except ssl.SSLError as error:
            raise InvalidSetting(self._explain(error)) from error
        if self.client_ca is not None:
            _load_authorities(context, self.client_ca)
        return context

    def _load_and_check(self) -> ssl.SSLContext:
        """A context of the files; logs dates for which clients will refuse the certificate."""
        context = self.load()
        if fault := find_fault_of_dates(context, self.cert):
            log.error("certificate is refused by clients", cert=str(self.cert), reason=fault)
        return context

    def open_credentials(self) -> "grpc.ServerCredentials":
        """The credentials of the gRPC port; raises InvalidSetting where the files cannot be used.

        gRPC itself does not report such files.
        """
        import grpc  # slow to import, and only the server needs it here

        reloading = Reloading(self._files, self._load_configuration)
        return grpc.dynamic_ssl_server_credentials(
            reloading.get(), reloading.get, require_client_authentication=self.client_ca is not None
        )

    @property
    def _files(self) -> tuple[Path, ...]:
        return (self.cert, self.key) if self.client_ca is None else (self.cert, self.key, self.client_ca)

    def _load_configuration(self) -> "grpc.ServerCertificateConfiguration":
        import grpc

        self.load()
        pair = self.key.read_bytes(), self.cert.read_bytes()
        authorities = None if self.client_ca is None else self.client_ca.read_bytes()
        return grpc.ssl_server_certificate_configuration([pair], authorities)

    def _explain(self, error: ssl.SSLError) -> str:
        if error.reason == "KEY_VALUES_MISMATCH":
            return f"BLITZ_TLS_KEY={self.key}: it does not belong to the certificate {self.cert}"
        try:
            ssl.create_default_context().load_verify_locations(self.cert)
        except ssl.SSLError:
            return f"BLITZ_TLS_CERT={self.cert}: it is no certificate in PEM form"
        return f"BLITZ_TLS_KEY={self.key}: it is no private key in PEM form, or it has a password"


def find_fault_of_dates(server: ssl.SSLContext, cert: Path) -> str:
    """OpenSSL's message if the certificate has expired or is not valid yet, otherwise an empty text.

    It comes from a handshake in memory with a client that trusts only this certificate.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cert)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (asking, answering, asking):
        try:
            end.do_handshake()
        except ssl.SSLCertVerificationError as error:
            return error.verify_message if error.verify_code in FAULTS_OF_DATES else ""
        except ssl.SSLError:  # it wants to read what the other end writes next
            continue
    return ""


def read_tls(cert: Path | None, key: Path | None, client_ca: Path | None, *, hsts_s: int = 0) -> Tls | None:
    """TLS with these files, None where no certificate is named; raises InvalidSetting."""
    if cert is not None and key is not None:
        tls = Tls(cert, key, client_ca, hsts_s)
        tls.load()
        return tls
    if cert is not None:
        raise InvalidSetting(f"BLITZ_TLS_CERT={cert}: it needs its private key, as BLITZ_TLS_KEY")
    for name, file in (("BLITZ_TLS_KEY", key), ("BLITZ_TLS_CLIENT_CA", client_ca)):
        if file is not None:
            raise InvalidSetting(f"{name}={file}: it needs a certificate, BLITZ_TLS_CERT and BLITZ_TLS_KEY")
    return None


def _read(variable: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidSetting(f"{variable}={file}: it cannot be read: {reason}") from error


def _load_authorities(context: ssl.SSLContext, file: Path) -> None:
    """Make the context refuse clients without a certificate of one of these authorities."""
    _read("BLITZ_TLS_CLIENT_CA", file)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise InvalidSetting(f"BLITZ_TLS_CLIENT_CA={file}: it is no certificate in PEM form") from error
    context.verify_mode = ssl.CERT_REQUIRED


def _refuse_password() -> str:
    return ""  # instead of asking for it on the terminal

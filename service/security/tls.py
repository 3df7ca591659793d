"""The certificate of both ports, and those that clients have to show."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import InvalidSetting
from service.security.renewal import Renewal

if TYPE_CHECKING:
    import grpc


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: the certificate with its chain, its key, and the authorities of clients' certificates.

    hsts_s: for how long browsers are told to come back by TLS only; 0: they are not.
    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    hsts_s: int = 0

    def open_context(self) -> ssl.SSLContext:
        """For HTTP: TLS 1.2 or newer, and every handshake by the files as they are then.

        Raises InvalidSetting where the files are not what they should be.
        """
        renewal = Renewal(self._files, self.load)
        context = renewal.get()

        def renew(handshake: ssl.SSLObject, name: str | None, asked: ssl.SSLContext) -> None:
            if (now := renewal.get()) is not asked:
                handshake.context = now

        context.sni_callback = renew  # called for who names no server, too
        return context

    def load(self) -> ssl.SSLContext:
        """The files as they are; raises InvalidSetting."""
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

    def open_credentials(self) -> "grpc.ServerCredentials":
        """The same for gRPC, whose library says nothing of files that it cannot use."""
        import grpc  # takes its time

        renewal = Renewal(self._files, self._load_configuration)
        return grpc.dynamic_ssl_server_credentials(
            renewal.get(), renewal.get, require_client_authentication=self.client_ca is not None
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
            return f"BLITZ_TLS_KEY={self.key}: it is not the key of the certificate {self.cert}"
        try:
            ssl.create_default_context().load_verify_locations(self.cert)
        except ssl.SSLError:
            return f"BLITZ_TLS_CERT={self.cert}: it is no certificate in PEM form"
        return f"BLITZ_TLS_KEY={self.key}: it is no private key in PEM form, or it has a password"


def read_tls(cert: Path | None, key: Path | None, client_ca: Path | None, *, hsts_s: int = 0) -> Tls | None:
    """TLS as the settings ask for it, None where they do not; raises InvalidSetting."""
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
    """Let the context take only clients with a certificate of one of these authorities."""
    _read("BLITZ_TLS_CLIENT_CA", file)
    try:
        context.load_verify_locations(file)
    except ssl.SSLError as error:
        raise InvalidSetting(f"BLITZ_TLS_CLIENT_CA={file}: it is no certificate in PEM form") from error
    context.verify_mode = ssl.CERT_REQUIRED


def _refuse_password() -> str:
    return ""  # and do not ask for it on the terminal

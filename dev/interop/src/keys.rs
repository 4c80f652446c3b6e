//! Key pairs and certificates of a run, made by OpenSSL's command line.

use crate::process::output_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// The name in the certificate of a server, besides `localhost` and 127.0.0.1.
pub(crate) const SERVER_NAME: &str = "server.interop.test";

/// Made once a run, by whoever comes first.
static MADE: Mutex<bool> = Mutex::new(false);

/// The folder with everything: for each name `NAME.key` and `NAME.crt` (PEM), and `NAME.key.der` (PKCS #8), `NAME.crt.der`,
/// `NAME.pub.der`, `NAME.pub` beside them.
pub(crate) struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// Two authorities (`ca`, `stranger`), one between (`between`, below `ca`), and certificates of servers: `server` and
    /// `bootstrap` (below `ca`), `deep` (below `between`), `alone` (signed by itself), `other` (below `ca`, of another name).
    pub(crate) fn of_this_run(cache: &Path) -> Result<Self, String> {
        let keys = Self { folder: cache.join("keys") };
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if !*made {
            if keys.folder.exists() {
                std::fs::remove_dir_all(&keys.folder).map_err(|error| error.to_string())?;
            }
            std::fs::create_dir_all(&keys.folder).map_err(|error| error.to_string())?;
            keys.make()?;
            *made = true;
        }
        Ok(keys)
    }

    fn make(&self) -> Result<(), String> {
        let names = format!("DNS:{SERVER_NAME},DNS:localhost,IP:127.0.0.1");
        for authority in ["ca", "stranger"] {
            self.pair(authority)?;
            self.sign_itself(
                authority,
                &format!("/CN=authority {authority}"),
                "basicConstraints=critical,CA:TRUE",
            )?;
        }
        self.pair("between")?;
        self.sign("between", "ca", "/CN=between", "basicConstraints=critical,CA:TRUE", "30")?;
        for (server, issuer) in [("server", "ca"), ("bootstrap", "ca"), ("deep", "between")] {
            self.pair(server)?;
            let subject = format!("/CN={SERVER_NAME}");
            self.sign(server, issuer, &subject, &format!("subjectAltName={names}"), "30")?;
        }
        self.pair("alone")?;
        self.sign_itself("alone", &format!("/CN={SERVER_NAME}"), &format!("subjectAltName={names}"))?;
        self.pair("other")?;
        self.sign("other", "ca", "/CN=other.interop.test", "subjectAltName=DNS:other.interop.test", "30")
    }

    fn openssl(&self, arguments: &[&str]) -> Result<(), String> {
        output_of(Command::new("openssl").current_dir(&self.folder).args(arguments)).map(drop)
    }

    fn pair(&self, name: &str) -> Result<(), String> {
        let key = format!("{name}.key");
        self.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key])?;
        let (der, public) = (format!("{name}.key.der"), format!("{name}.pub"));
        self.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", &key, "-outform", "DER", "-out", &der])?;
        self.openssl(&["pkey", "-in", &key, "-pubout", "-out", &public])?;
        let public_der = format!("{public}.der");
        self.openssl(&["pkey", "-in", &key, "-pubout", "-outform", "DER", "-out", &public_der])
    }

    fn sign_itself(&self, name: &str, subject: &str, extension: &str) -> Result<(), String> {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let more = ["-addext", extension, "-days", "30", "-out", &certificate];
        self.openssl(&[&["req", "-x509", "-new", "-key", &key, "-subj", subject], &more[..]].concat())?;
        self.der(name)
    }

    fn sign(
        &self,
        name: &str,
        issuer: &str,
        subject: &str,
        extension: &str,
        days: &str,
    ) -> Result<(), String> {
        let (key, request, certificate) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.crt"));
        self.openssl(&["req", "-new", "-key", &key, "-subj", subject, "-out", &request])?;
        let extensions = format!("{name}.ext");
        std::fs::write(self.folder.join(&extensions), extension).map_err(|error| error.to_string())?;
        let (by, by_key) = (format!("{issuer}.crt"), format!("{issuer}.key"));
        let signing = ["x509", "-req", "-in", &request, "-CA", &by, "-CAkey", &by_key, "-CAcreateserial"];
        let more = ["-days", days, "-extfile", &extensions, "-out", &certificate];
        self.openssl(&[&signing[..], &more].concat())?;
        self.der(name)
    }

    fn der(&self, name: &str) -> Result<(), String> {
        let (pem, der) = (format!("{name}.crt"), format!("{name}.crt.der"));
        self.openssl(&["x509", "-in", &pem, "-outform", "DER", "-out", &der])
    }

    /// Makes the key pair and the certificate of a device, with this common name, below `ca`; the name of its files is the
    /// common name.
    pub(crate) fn device(&self, name: &str) -> Result<(), String> {
        self.device_by(name, name, "ca")
    }

    /// The same with files of another name and another authority.
    pub(crate) fn device_by(&self, files: &str, name: &str, issuer: &str) -> Result<(), String> {
        let _alone = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        if self.folder.join(format!("{files}.crt")).exists() {
            return Ok(());
        }
        self.pair(files)?;
        self.sign(files, issuer, &format!("/CN={name}"), "keyUsage=digitalSignature", "30")
    }

    /// The path of one of the files.
    pub(crate) fn path(&self, file: &str) -> String {
        self.folder.join(file).to_string_lossy().into_owned()
    }

    /// The text of one of the files.
    pub(crate) fn text(&self, file: &str) -> Result<String, String> {
        std::fs::read_to_string(self.folder.join(file)).map_err(|error| format!("{file}: {error}"))
    }
}
